-- Whatever is done to engines, scripts and connections while events are
-- written: once all is quiet the models are what a fold of the log is.
--
-- `make chaos SECONDS=60` runs as many rounds as fit. A round is a seed;
-- LUNETTE_SEED repeats one, with the same operations in the same order.

local helper = require "spec.helper"
local scripts = require "spec.chaos.scripts"
local world = require "spec.chaos.world"

local OPERATIONS = 60 -- of a round

local seed = helper.seed()
local seconds = tonumber(os.getenv "LUNETTE_CHAOS_SECONDS" or "30")

-- Each draws what it needs whether or not there is something to do it to, so
-- that a round is the same in every run.
local operations = {}

local function operation(weight, name, act)
  for _ = 1, weight do
    operations[#operations + 1] = { name = name, act = act }
  end
end

local function slot_of(r)
  return r:within(1, world.SLOTS)
end

operation(8, "start", function(w, r)
  local slot = slot_of(r)
  if not w.engines[slot] then
    w:start_engine(slot)
  end
  return slot
end)

operation(10, "kill", function(w, r)
  local slot, again = slot_of(r), r:chance(60)
  if w.engines[slot] then
    w:kill_engine(slot)
  end
  if again then
    w:start_engine(slot)
  end
  return slot, again and "and start again" or ""
end)

operation(4, "stop", function(w, r)
  local slot = slot_of(r)
  if w.engines[slot] then
    w:stop_engine(slot)
  end
  return slot
end)

operation(6, "freeze", function(w, r)
  local slot = slot_of(r)
  if w.engines[slot] then
    w.engines[slot]:kill "STOP"
  end
  return slot
end)

operation(9, "thaw", function(w, r)
  local slot = slot_of(r)
  if w.engines[slot] then
    w.engines[slot]:kill "CONT"
  end
  return slot
end)

local function change(w, name, broken)
  local state = w.scripts[name]
  state.salt = state.salt + 1
  state.broken = broken
  w:write_script(name)
end

operation(6, "edit", function(w, r)
  local name = r:pick(scripts.names)
  change(w, name, w.scripts[name].broken)
  return name
end)

operation(8, "break", function(w, r)
  local name, how = r:pick(scripts.names), r:pick(scripts.breakages)
  change(w, name, how)
  return name, how
end)

operation(9, "mend", function(w, r)
  local name = r:pick(scripts.names)
  change(w, name, nil)
  return name
end)

operation(3, "raise the version of", function(w, r)
  local name = r:pick(scripts.names)
  w.scripts[name].version = w.scripts[name].version + 1
  change(w, name, nil)
  return name
end)

local function command(weight, ...)
  local words = { ... }
  operation(weight, table.concat(words, " "), function(w, r)
    local name = r:pick(scripts.names)
    local argv = { table.unpack(words) }
    argv[#argv + 1] = name
    w:command(argv)
    return name
  end)
end

command(5, "rebuild", "--no-wait", "--timeout=3")
command(4, "pause", "--timeout=3")
command(5, "resume", "--timeout=3")
command(5, "parked", "retry", "--timeout=3")
command(2, "parked", "list")
command(2, "query")
command(1, "checkpoint", "show")

operation(3, "status", function(w)
  w:command { "status" }
end)

operation(5, "terminate", function(w)
  w:terminate()
end)

local function round(kind, number)
  local r = helper.random(number)
  local w <close> = setmetatable({ world = world.new(kind, r, number) }, {
    __close = function(self)
      self.world:abandon()
    end,
  })
  local one = w.world
  one:start_engine(1)
  for _ = 1, OPERATIONS do
    local op = r:pick(operations)
    local pause = r:within(0, 120)
    one:note(op.name, op.act(one, r))
    helper.sleep_ms(pause)
    one:look_after()
  end
  one:settle()
  one:recover(60)
  local count = one:compare(10)
  one:close()
  return count
end

describe("a fold of the log #chaos, seed " .. seed, function()
  for _, kind in ipairs(world.kinds) do
    it("is what remains, " .. kind, function()
      local reason = world.missing(kind)
      if reason then
        pending(reason)
        return
      end
      local limit = helper.now_ms() + seconds * 1000 / #world.kinds
      local rounds, events, number = 0, 0, seed
      repeat
        local done, result = pcall(round, kind, number)
        if not done then
          error(("LUNETTE_SEED=%d: %s"):format(number, result), 0)
        end
        rounds, events, number = rounds + 1, events + result, number + 1
      until helper.now_ms() > limit
      print(("\nchaos: %s: %d rounds, %d events"):format(kind, rounds,
        events))
    end)
  end
end)

-- A program for starved_spec.lua: a life of two projections, again and again,
-- in which the first request for memory is refused, then the second, and so
-- on until none was left. Prints how many there were.
--
-- usage: lua5.4 -l spec.helper starved_life.lua EVENTS MODELS STEP [threads]
--
-- The stores are URLs, in which %d is the number of the life. STEP is how much
-- the request refused moves on each time.

local starved = require "starved_test"
package.preload["lunette.core"] = starved.open_core
local lunette = require "lunette"
local helper = require "spec.helper"
local ledger = require "spec.engine.ledger"

local events_url, models_url = arg[1], arg[2]
local threads = arg[4] == "threads"

local r = helper.random(helper.seed(6))
local events = ledger.events(r, 1, 40)
for _, event in ipairs(events) do
  event.data.poison = nil
end
for _, event in ipairs { events[20], events[40] } do
  event.type, event.data.accounts[2] = "Opened", nil
end
events[20].data.poison = events[20].data.accounts[1]
local present = events[40].data.accounts[1]

local function catch_up(engine, name)
  local result
  repeat
    result = table.pack(engine:step(name))
  until not result[1]
  return result[1] == false, table.unpack(result, 2)
end

local function wait(engine, name)
  local ok, message, code = engine:wait { projection = name, timeout = 20 }
  if not ok and message:find("out of memory", 1, true) then
    assert(engine:resume(name))
    return ok, message, "no_memory"
  end
  return ok, message, code
end

-- What happens, one thing after the other.
local function steps(engine)
  local list = {}
  local function add(method, ...)
    local arguments = table.pack(...)
    list[#list + 1] = function()
      return engine[method](engine, table.unpack(arguments))
    end
  end
  add("append", events)
  add("register", { source = ledger.scripts.ledger, name = "ledger" })
  add("register", { source = ledger.scripts.parking, name = "parking" })
  if threads then
    add "start"
  end
  for _, name in ipairs { "ledger", "parking" } do
    list[#list + 1] = function()
      return (threads and wait or catch_up)(engine, name)
    end
  end
  if threads then
    add "stop"
  end
  add("status")
  add("parked", "parking")
  add("query", "ledger", { "balance=gte.0", "order=balance.desc,id" })
  add("get", "ledger", present)
  add("register", { source = ledger.scripts.mended, name = "mended" })
  add("retry", "parking")
  add("rebuild", "ledger")
  add("wait", { projection = "ledger" })
  add("events", { stream = events[1].stream })
  add("checkpoint", "ledger")
  return list
end

-- A call that is refused memory says so, or raises what Lua itself would, and
-- works the next time.
local function insist(call)
  local done, ok, message, code = pcall(call)
  if not done then
    assert(ok:find "out of memory$" or ok:find "not enough memory$", ok)
  elseif not ok then
    assert(code == "no_memory", message)
  end
  if not done or not ok then
    ok, message = call()
  end
  return assert(ok, message)
end

local function live(n)
  local engine
  starved.refuse(n)
  engine = insist(function()
    return lunette.open {
      events = events_url:format(n),
      models = models_url:format(n),
      batch_events = 15,
      memory_bytes = 4096,
      synchronous = "off",
    }
  end)
  for _, step in ipairs(steps(engine)) do
    insist(step)
  end
  local untouched = starved.is_waiting()
  starved.refuse(0)
  ledger.check(engine, "ledger", ledger.fold "ledger", events)
  ledger.check(engine, "parking", ledger.fold "mended", events)
  engine:close()
  collectgarbage()
  assert(starved.held() == 0, starved.held() .. " pieces were not freed")
  return untouched
end

local n, step = 1, math.tointeger(arg[3])
repeat
  local done, untouched = xpcall(live, debug.traceback, n)
  if not done then
    error(("request %d: %s"):format(n, untouched), 0)
  end
  n = n + step
until untouched
print(n)

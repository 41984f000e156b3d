-- Many projections in one engine: the threads that they share, and their turns.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"
local workplace = require "spec.engine.cli.workplace"
local crew = require "crew_test"

local MANY = helper.preload and 60 or 200

describe("the command with many projections #threads", function()
  local place, running

  before_each(function()
    place = workplace.new()
    place:counter()
    local script = place:read "projections/counter.lua"
    for i = 2, MANY do
      place:write(("projections/counter_%d.lua"):format(i),
        (script:gsub('"counter"', ('"counter_%d"'):format(i))))
    end
    place:count("a", 1)
  end)

  after_each(function()
    running:kill "TERM"
    assert.equal(0, running:wait())
  end)

  local function count_threads()
    local list = io.popen("ls /proc/" .. running:pid() .. "/task | wc -l")
    local count = list:read "n"
    list:close()
    return count
  end

  local function wait_for_total(total)
    for i = 1, MANY do
      local name = i == 1 and "counter" or "counter_" .. i
      helper.wait(function()
        local code, out = place:run { "get", name, "a", "--json" }
        return code == 0 and out:find('"total":' .. total, 1, true)
      end)
    end
  end

  it("has few threads, and none for a projection that waits", function()
    running = place:spawn { "run" }
    helper.wait(function()
      return select(2, running:stderr():gsub(": live", "")) == MANY
    end, 60)
    helper.wait(function()
      return count_threads() <= 16
    end, 30)
    place:count("a", 2)
    wait_for_total(3)
    assert.is_true(count_threads() <= 16)
  end)
end)

describe("a crew #threads", function()
  it("gives a turn for a hint that came during the last one", function()
    crew.begin()
    local again = pcall(helper.wait, function()
      return crew.turns() == 2
    end)
    crew.finish()
    assert.is_true(again)
  end)
end)

for _, kind in ipairs(kit.kinds) do
  describe("projections on " .. kind .. " stores #threads", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    it("that catch up keep nobody who is live from his turn", function()
      local engine = kit.open(kit.stores(kind),
        { batch_events = 20, live_events = 20 })
      local slow = kit.ledger():gsub("local data = event.data", [[%0
        local n = 0
        for i = 1, 200000 do n = n + i end]])
      for i = 1, 12 do
        kit.register(engine, (slow:gsub('"ledger"', '"slow_' .. i .. '"')))
      end
      local list = {}
      for n = 1, 2000 do
        list[n] = { n = n, ids = "a" }
      end
      kit.append(engine, list)
      kit.register(engine, (kit.ledger { name = "quick" }:gsub("version = 1,",
        '%0 handles = { "Other" },')))
      assert(engine:start())
      kit.wait_state(engine, "quick", "live", 30)
      for n = 1, 5 do
        assert(engine:append { { stream = "o", type = "Other",
          data = { n = n, ids = "b" } } })
        assert(engine:wait { projection = "quick", timeout = 30 })
      end
      assert.equal("1,2,3,4,5,", engine:get("quick", "b").log)
      local behind = 0
      for i = 1, 12 do
        local status = kit.status(engine, "slow_" .. i)
        behind = behind + (status.state == "catching_up" and 1 or 0)
      end
      assert.is_true(behind > 0)
      assert(engine:stop())
    end)

    it("are run to the head together, each exactly once", function()
      local engine = kit.open(kit.stores(kind),
        { batch_events = 50, live_events = 7 })
      local list = {}
      for n = 1, 1500 do
        list[n] = { n = n, ids = { "a", "b" .. n % 10 } }
      end
      kit.append(engine, list)
      for i = 1, 20 do
        kit.register(engine, kit.ledger { name = "ledger_" .. i })
      end
      assert(engine:run_once())
      local expected = kit.fold(list, "stop")
      for i = 1, 20 do
        assert.same(expected, kit.models(engine, "ledger_" .. i))
      end
    end)
  end)
end

-- Parked events: retried in order once the script is mended, or discarded.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"

local parking = kit.ledger { on_error = "park" }
local mended = kit.ledger { on_error = "park", fixed = true }

for _, kind in ipairs(kit.kinds) do
  describe("parked events on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local stores

    local function park(list, settings)
      stores = kit.stores(kind)
      local engine = kit.open(stores, settings)
      kit.register(engine, parking)
      kit.append(engine, list)
      assert(engine:run_once())
      return engine
    end

    local function log(engine, id)
      local model = engine:get("ledger", id)
      return model and model.log
    end

    local list = {
      { n = 1, ids = { "a", "b" } },
      { n = 2, ids = { "a", "b" }, fail = "a" },
      { n = 3, ids = { "b", "c" }, fail = true },
      { n = 4, ids = { "a", "b", "c" } },
      { n = 5, ids = "a", bad = "nan" },
    }

    it("are replayed in order after the script was mended", function()
      local engine = park(list)
      assert.same({ a = { 2, 4, 5 }, b = { 3, 4 }, c = { 3, 4 } },
        kit.parked(engine, "ledger"))
      kit.register(engine, mended)
      assert.is_true(engine:retry "ledger")
      assert.same({}, kit.parked(engine, "ledger"))
      assert.equal("1,2,4,5,", log(engine, "a"))
      assert.equal("1,2,3,4,", log(engine, "b"))
      assert.equal("3,4,", log(engine, "c"))
      assert.equal(0, kit.status(engine, "ledger").parked)
      assert.equal("5", kit.status(engine, "ledger").position)
    end)

    it("queue no more once they are replayed", function()
      local engine = park(list)
      kit.register(engine, mended)
      assert(engine:retry "ledger")
      kit.append(engine, { { n = 6, ids = { "a", "b", "c" } } })
      assert(engine:run_once())
      assert.same({}, kit.parked(engine, "ledger"))
      assert.equal("3,4,6,", log(engine, "c"))
      assert.equal("1,2,4,5,6,", log(engine, "a"))
    end)

    it("are replayed for one model alone", function()
      local engine = park(list)
      kit.register(engine, mended)
      assert(engine:retry("ledger", "b"))
      assert.same({ a = { 2, 4, 5 }, c = { 3, 4 } },
        kit.parked(engine, "ledger"))
      assert.equal("1,2,3,4,", log(engine, "b"))
      assert.equal("1,", log(engine, "a"))
      kit.append(engine, { { n = 6, ids = { "a", "b" } } })
      assert(engine:run_once())
      assert.same({ a = { 2, 4, 5, 6 }, c = { 3, 4 } },
        kit.parked(engine, "ledger"))
      assert.equal("1,2,3,4,6,", log(engine, "b"))
    end)

    it("stay, with those behind them, where they fail again", function()
      local engine = park(list)
      local source = mended:gsub("local data = event.data\n",
        "%0    assert(data.n ~= 4 or id ~= 'b', 'not yet')\n")
      kit.register(engine, source)
      local ok, message, code = engine:retry "ledger"
      assert.is_nil(ok)
      assert.equal("script", code)
      assert.matches("^ledger: 1 of the parked events still fail; "
        .. "the first: .*not yet$", message)
      assert.same({ b = { 4 } }, kit.parked(engine, "ledger"))
      assert.equal("1,2,3,", log(engine, "b"))
      assert.equal("1,2,4,5,", log(engine, "a"))
      assert.equal("3,4,", log(engine, "c"))
      kit.append(engine, { { n = 6, ids = { "b", "c" } } })
      assert(engine:run_once())
      assert.same({ b = { 4, 6 } }, kit.parked(engine, "ledger"))
      kit.register(engine, mended)
      assert(engine:retry "ledger")
      assert.equal("1,2,3,4,6,", log(engine, "b"))
    end)

    it("show why they failed the last time", function()
      local engine = park(list)
      local function error_of(n)
        for _, item in ipairs(engine:parked("ledger", "b")) do
          if item.data.n == n then
            return item.error
          end
        end
      end
      assert.matches("^script%.lua:%d+: refused 3$", error_of(3))
      assert.matches("waits behind", error_of(4))
      local place = "local data = event.data\n"
      kit.register(engine, (parking:gsub(place,
        place .. "    assert(data.n ~= 3, 'another reason')\n")))
      assert.is_nil((engine:retry "ledger"))
      assert.matches("^script%.lua:%d+: another reason$", error_of(3))
      assert.matches("waits behind", error_of(4))
      kit.register(engine, (mended:gsub(place,
        place .. "    assert(data.n ~= 4, 'its own fault')\n")))
      assert.is_nil((engine:retry "ledger"))
      assert.is_nil(error_of(3))
      assert.matches("^script%.lua:%d+: its own fault$", error_of(4))
    end)

    it("stay as they are when nothing was mended", function()
      local engine = park(list)
      local before = engine:parked "ledger"
      local models = kit.models(engine, "ledger")
      for _ = 1, 2 do
        local ok, message = engine:retry "ledger"
        assert.is_nil(ok)
        assert.matches("still fail; the first: script.lua:%d+: refused 2",
          message)
      end
      assert.same(before, engine:parked "ledger")
      assert.same(models, kit.models(engine, "ledger"))
    end)

    it("may be retried and discarded when there are none", function()
      local engine = park { { n = 1, ids = "a" } }
      assert.is_true(engine:retry "ledger")
      assert.is_true(engine:discard "ledger")
      assert.equal("1,", log(engine, "a"))
    end)

    it("are not found of a model that has none", function()
      local engine = park(list)
      local before = engine:parked "ledger"
      for _, method in ipairs { "retry", "discard" } do
        local ok, message, code = engine[method](engine, "ledger", "nobody")
        assert.is_nil(ok)
        assert.matches('model "nobody" of ledger has no parked events',
          message, 1, true)
        assert.equal("not_found", code)
      end
      assert.same(before, engine:parked "ledger")
      assert.is_true(engine:discard("ledger", "a"))
      assert.is_nil((engine:discard("ledger", "a")))
    end)

    it("are discarded, and their models go on without", function()
      local engine = park(list)
      assert.is_true(engine:discard("ledger", "a"))
      assert.same({ b = { 3, 4 }, c = { 3, 4 } },
        kit.parked(engine, "ledger"))
      kit.append(engine, { { n = 6, ids = { "a", "b" } } })
      assert(engine:run_once())
      assert.equal("1,6,", log(engine, "a"))
      assert.is_true(engine:discard "ledger")
      assert.same({}, kit.parked(engine, "ledger"))
      assert.equal("1,2,", log(engine, "b"))
    end)

    it("are forgotten by a rebuild", function()
      local engine = park(list)
      kit.register(engine, mended)
      assert(engine:rebuild "ledger")
      assert.same({}, kit.parked(engine, "ledger"))
      assert(engine:run_once())
      assert.same({}, kit.parked(engine, "ledger"))
      assert.equal("1,2,4,5,", log(engine, "a"))
    end)

    it("are retried by the engine that runs #threads", function()
      local engine = park(list)
      assert(engine:start())
      kit.wait_state(engine, "ledger", "live")
      kit.register(engine, mended)
      assert.is_true(engine:retry "ledger")
      assert.same({}, kit.parked(engine, "ledger"))
      assert.equal("1,2,4,5,", log(engine, "a"))
      kit.append(engine, { { n = 6, ids = { "a" } } })
      assert(engine:wait { projection = "ledger" })
      assert.equal("1,2,4,5,6,", log(engine, "a"))
    end)

    -- More than are taken up at once.
    local function many(count)
      local events = {}
      for n = 1, count do
        events[n] = { n = n, ids = "m" .. n % 3, fail = n <= 3 }
      end
      return events
    end

    it("may be thousands", function()
      local count = 11000
      local engine = park(many(count))
      assert.equal(count, kit.status(engine, "ledger").parked)
      assert.same({}, kit.models(engine, "ledger"))
      kit.register(engine, mended)
      assert.is_true(engine:retry "ledger")
      assert.equal(0, kit.status(engine, "ledger").parked)
      local events = many(count)
      for i = 1, 3 do
        events[i].fail = nil
      end
      for id, model in pairs(kit.fold(events)) do
        assert.is_true(log(engine, id) == model.log)
      end
    end)

    it("may be thousands that fail in the middle", function()
      local count = 11000
      local engine = park(many(count))
      kit.register(engine, (mended:gsub("local data = event.data\n",
        "%0    assert(data.n ~= 6001, 'not yet')\n")))
      assert.is_nil((engine:retry "ledger"))
      local parked = kit.parked(engine, "ledger")
      assert.equal("m" .. 6001 % 3, (next(parked)))
      assert.is_nil(next(parked, (next(parked))))
      local numbers = parked["m" .. 6001 % 3]
      assert.equal((count - 6001) // 3 + 1, #numbers)
      assert.equal(6001, numbers[1])
      assert.equal(6004, numbers[2])
    end)

    it("are not blamed for what others put into the memory", function()
      local source = [[
        local hoard = {}
        return {
          name = "ledger", version = 1, fields = { log = "text" },
          on_error = "park",
          extract_model_id = function(event) return event.data.ids end,
          apply_to_model = function(model, event)
            %s
            hoard[#hoard + 1] = ("x"):rep(1024):rep(400) .. event.data.n
            model = model or { log = "" }
            model.log = model.log .. event.data.n .. ","
            return model
          end,
        }
      ]]
      local engine = kit.open(kit.stores(kind), {
        script_memory_bytes = 4 << 20,
      })
      kit.register(engine, source:format "error 'not yet'")
      local events, expected = {}, {}
      for n = 1, 40 do
        events[n] = { n = n, ids = "a" }
        expected[n] = n .. ","
      end
      kit.append(engine, events)
      assert(engine:run_once())
      kit.register(engine, source:format "")
      assert.is_true(engine:retry "ledger")
      assert.equal(table.concat(expected), log(engine, "a"))
    end)
  end)
end

describe("a parked event that is greedy", function()
  after_each(kit.close_all)

  local source = [[
    return {
      name = "ledger", version = 1, fields = { log = "text" },
      on_error = "park",
      retries = 2,
      extract_model_id = function(event) return event.data.ids end,
      apply_to_model = function(model, event)
        local n = event.data.n
        %s
        model = model or { log = "" }
        model.log = model.log .. n .. ","
        return model
      end,
    }
  ]]
  local refusing = source:format "error 'not yet'"
  local greedy = source:format "while n == 30 do end"
  local harmless = source:format ""

  local function numbers(first, last, step)
    local list = {}
    for n = first, last, step do
      list[#list + 1] = n
    end
    return list
  end

  local function events()
    local list = {}
    for n = 1, 40 do
      list[n] = { n = n, ids = n % 2 == 0 and "even" or "odd" }
    end
    return list
  end

  local function log_of(list)
    return table.concat(list, ",") .. ","
  end

  -- 40 parked events in an engine of their own, whose models fail as told.
  local function park(faults)
    local folder = helper.tmpdir()
    local stores = {
      events = "sqlite:" .. folder .. "/events.db",
      models = "sqlite:" .. folder .. "/models.db",
    }
    local settings = { script_instructions = 100000, retry_ms = 1 }
    local engine = kit.open(stores, settings)
    kit.register(engine, refusing)
    kit.append(engine, events())
    assert(engine:run_once())
    engine:close()
    stores.models = (faults and "faulty+" or "") .. stores.models
      .. (faults and "?" .. faults or "")
    return kit.open(stores, settings)
  end

  local function assert_isolated(engine)
    assert.same({ even = numbers(30, 40, 2) }, kit.parked(engine, "ledger"))
    assert.equal(log_of(numbers(1, 39, 2)), engine:get("ledger", "odd").log)
    assert.equal(log_of(numbers(2, 28, 2)), engine:get("ledger", "even").log)
  end

  it("is isolated, and stays alone with those behind it", function()
    local engine = park()
    kit.register(engine, greedy)
    local ok, message, code = engine:retry "ledger"
    assert.is_nil(ok)
    assert.equal("script", code)
    assert.matches("1 of the parked events still fail; the first: "
      .. ".*instructions", message)
    assert_isolated(engine)
    assert.matches("^script%.lua:%d+: ran more than .*instructions",
      engine:parked("ledger", "even")[1].error)
  end)

  -- What comes before it, it, and what comes behind it are a commit each.
  it("costs nothing if a commit fails on the way to it", function()
    for nth = 1, 3 do
      local engine = park("fail=commit:" .. nth)
      kit.register(engine, greedy)
      local _, message = engine:retry "ledger"
      assert.matches("as it was told to", message, 1, true)
      if nth == 3 then
        assert.is_true(engine:retry("ledger", "odd"))
      else
        assert.is_nil((engine:retry "ledger"))
      end
      assert_isolated(engine)
      kit.register(engine, harmless)
      assert.is_true(engine:retry "ledger")
      assert.equal(log_of(numbers(2, 40, 2)),
        engine:get("ledger", "even").log)
      assert.same({}, kit.parked(engine, "ledger"))
      engine:close()
    end
  end)
end)

describe("parking", function()
  after_each(kit.close_all)

  it("commits with the batch or not at all", function()
    local folder = helper.tmpdir()
    local models = "sqlite:" .. folder .. "/models.db"
    local events = "sqlite:" .. folder .. "/events.db"
    local engine = kit.open {
      events = events,
      models = "faulty+" .. models .. "?fail=commit:1",
    }
    kit.register(engine, parking)
    kit.append(engine, {
      { n = 1, ids = "a" },
      { n = 2, ids = { "a", "b" }, fail = "a" },
    })
    assert.is_nil((engine:run_once()))
    assert.same({}, engine:parked "ledger")
    assert.same({}, kit.models(engine, "ledger"))
    assert.equal("0", kit.status(engine, "ledger").position)
    assert(engine:run_once())
    assert.same({ a = { 2 } }, kit.parked(engine, "ledger"))
    assert.equal("2,", engine:get("ledger", "b").log)
    assert.equal("1,", engine:get("ledger", "a").log)
  end)
end)

-- What becomes of a projection whose script fails: on_error.

local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

for _, kind in ipairs(kit.kinds) do
  describe("a failing script on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local function run(list, options, settings)
      local engine = kit.open(kit.stores(kind), settings)
      kit.register(engine, kit.ledger(options))
      kit.append(engine, list)
      local ok, message, code, detail = engine:run_once()
      return engine, ok, message, code, detail
    end

    describe("that stops", function()
      local list = {
        { n = 1, ids = "a" },
        { n = 2, ids = "b" },
        { n = 3, ids = { "b", "c", "d" }, fail = "c" },
        { n = 4, ids = "a" },
      }

      it("keeps what came before the event, and stands before it", function()
        local engine, ok, message, code, detail = run(list)
        assert.is_nil(ok)
        assert.equal("script", code)
        assert.matches("^ledger: event 3 %(Noted on s%): "
          .. "script%.lua:%d+: refused 3$", message)
        assert.matches("script%.lua:%d+: in ", detail)
        assert.same({
          a = { total = 1, log = "1,", mean = 0.5 },
          b = { total = 2, log = "2,", mean = 1 },
        }, kit.models(engine, "ledger"))
        local status = kit.status(engine, "ledger")
        assert.equal("failed", status.state)
        assert.equal("2", status.position)
        assert.equal(message, status.last_error)
        assert.equal(2, status.lag_events)
      end)

      it("fails again at the same event", function()
        local engine, _, message = run(list)
        local ok, again = engine:run_once()
        assert.is_nil(ok)
        assert.equal(message, again)
        ok, again = engine:step "ledger"
        assert.is_nil(ok)
        assert.equal(message, again)
        assert.equal("2", kit.status(engine, "ledger").position)
      end)

      it("leaves the other projections alone", function()
        local engine = kit.open(kit.stores(kind))
        kit.register(engine, kit.ledger { name = "broken" })
        kit.register(engine, kit.ledger { name = "fixed", fixed = true })
        kit.append(engine, list)
        local ok, message = engine:run_once()
        assert.is_nil(ok)
        assert.matches("^broken: event 3", message)
        assert.equal(8, kit.models(engine, "fixed").a.total
          + kit.models(engine, "fixed").c.total)
        assert.equal("stopped", kit.status(engine, "fixed").state)
        assert.equal("failed", kit.status(engine, "broken").state)
      end)

      it("stops at an event whose model id cannot be told", function()
        local engine, ok, message = run {
          { n = 1, ids = "a" },
          { n = 2, ids = "a", fail_extract = true },
          { n = 3, ids = "a" },
        }
        assert.is_nil(ok)
        assert.matches("^ledger: event 2 .*: no model for 2$", message)
        assert.equal("1,", engine:get("ledger", "a").log)
        assert.equal("1", kit.status(engine, "ledger").position)
      end)

      it("stops at the very first event", function()
        local engine, ok = run { { n = 1, ids = "a", fail = true } }
        assert.is_nil(ok)
        assert.same({}, kit.models(engine, "ledger"))
        assert.equal("0", kit.status(engine, "ledger").position)
      end)

      it("goes on with a script that was mended", function()
        local engine = run(list)
        kit.register(engine, kit.ledger { fixed = true })
        assert(engine:run_once())
        assert.equal("1,4,", engine:get("ledger", "a").log)
        assert.equal("3,", engine:get("ledger", "c").log)
        local status = kit.status(engine, "ledger")
        assert.equal("stopped", status.state)
        assert.equal(lunette.null, status.last_error)
      end)

      it("has failed no more once a step went well", function()
        local engine = run(list)
        kit.register(engine, kit.ledger { fixed = true })
        assert.equal("failed", kit.status(engine, "ledger").state)
        assert.equal(2, engine:step "ledger")
        local status = kit.status(engine, "ledger")
        assert.equal("stopped", status.state)
        assert.equal(lunette.null, status.last_error)
      end)
    end)

    describe("that skips", function()
      it("records the event under each model that failed", function()
        local engine, ok = run({
          { n = 1, ids = "a" },
          { n = 2, ids = { "a", "b", "c" }, fail = "b" },
          { n = 3, ids = { "a", "b" }, fail = true },
          { n = 4, ids = { "a", "b" } },
        }, { on_error = "skip" })
        assert.is_true(ok)
        assert.same({ a = "1,2,4,", b = "4,", c = "2," }, {
          a = engine:get("ledger", "a").log,
          b = engine:get("ledger", "b").log,
          c = engine:get("ledger", "c").log,
        })
        local skipped = assert(engine:skipped "ledger")
        assert.equal(3, #skipped)
        assert.equal("b", skipped[1].model_id)
        assert.equal("3", skipped[1].position)
        assert.matches("refused 3", skipped[1].error)
        assert.equal("a", skipped[2].model_id)
        assert.equal("b", skipped[3].model_id)
        assert.same({ n = 2, ids = { "a", "b", "c" }, fail = "b" },
          skipped[3].data)
        assert.equal(3, kit.status(engine, "ledger").skipped)
      end)

      it("records an event without a model, if that cannot be told",
        function()
          local engine, ok = run({
            { n = 1, ids = "a", fail_extract = true },
            { n = 2, ids = "a" },
          }, { on_error = "skip" })
          assert.is_true(ok)
          assert.equal("2,", engine:get("ledger", "a").log)
          local skipped = assert(engine:skipped "ledger")
          assert.equal(1, #skipped)
          assert.equal(lunette.null, skipped[1].model_id)
          assert.matches("no model for 1", skipped[1].error)
        end)

      it("brings the last good model back", function()
        local engine = run({
          { n = 1, ids = "a" },
          { n = 2, ids = "a", fail = true },
          { n = 3, ids = "a", bad = "key" },
          { n = 4, ids = "a", bad = "fraction" },
          { n = 5, ids = "a", bad = "nan" },
          { n = 6, ids = "a", bad = "type" },
          { n = 7, ids = "a", bad = "meta" },
          { n = 8, ids = "a" },
          { n = 9, ids = "new", fail = true },
        }, { on_error = "skip" })
        assert.same({ a = { total = 9, log = "1,8,", mean = 4.5 } },
          kit.models(engine, "ledger"))
        local errors = {}
        for i, item in ipairs(engine:skipped "ledger") do
          errors[i] = item.error
        end
        assert.equal(7, #errors)
        assert.matches("refused 9", errors[1])
        assert.matches("without a metatable", errors[2])
        assert.matches("expected the model .* got a string", errors[3])
        assert.matches('"mean": nan', errors[4])
        assert.matches('"total": 1?5?%.5 is not a whole number', errors[5])
        assert.matches('undeclared field "undeclared"', errors[6])
      end)
    end)

    describe("that parks", function()
      it("sets aside the event and all later ones of its model", function()
        local engine, ok = run({
          { n = 1, ids = { "a", "b" } },
          { n = 2, ids = { "a", "b" }, fail = "a" },
          { n = 3, ids = { "a", "c" } },
          { n = 4, ids = "b" },
          { n = 5, ids = "a", fail = true },
        }, { on_error = "park" })
        assert.is_true(ok)
        assert.equal("1,", engine:get("ledger", "a").log)
        assert.equal("1,2,4,", engine:get("ledger", "b").log)
        assert.equal("3,", engine:get("ledger", "c").log)
        assert.same({ a = { 2, 3, 5 } }, kit.parked(engine, "ledger"))
        local parked = engine:parked("ledger", "a")
        assert.matches("refused 2", parked[1].error)
        assert.matches("waits behind an earlier", parked[2].error)
        assert.matches("waits behind an earlier", parked[3].error)
        assert.same({}, engine:parked("ledger", "b"))
        local status = kit.status(engine, "ledger")
        assert.equal(3, status.parked)
        assert.equal("5", status.position)
      end)

      it("stops where the model id cannot be told", function()
        local engine, ok, message = run({
          { n = 1, ids = "a", fail = true },
          { n = 2, ids = "b" },
          { n = 3, ids = "a", fail_extract = true },
          { n = 4, ids = "b" },
        }, { on_error = "park" })
        assert.is_nil(ok)
        assert.matches("^ledger: event 3 .*: no model for 3$", message)
        assert.same({ a = { 1 } }, kit.parked(engine, "ledger"))
        assert.equal("2,", engine:get("ledger", "b").log)
        assert.equal("2", kit.status(engine, "ledger").position)
      end)

      it("goes on parking after a restart", function()
        local stores = kit.stores(kind)
        local source = kit.ledger { on_error = "park" }
        local engine = kit.open(stores)
        kit.register(engine, source)
        kit.append(engine, { { n = 1, ids = "a", fail = true } })
        assert(engine:run_once())

        engine = kit.reopen(engine, stores)
        kit.register(engine, source)
        kit.append(engine, { { n = 2, ids = { "a", "b" } } })
        assert(engine:run_once())
        assert.same({ a = { 1, 2 } }, kit.parked(engine, "ledger"))
        assert.equal("2,", engine:get("ledger", "b").log)
      end)
    end)
  end)
end

-- What an operator asks of a projection, whoever runs it.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"

local function events(first, last)
  local list = {}
  for n = first, last do
    list[#list + 1] = { n = n, ids = "a" }
  end
  return list
end

local function log(engine)
  local model = engine:get("ledger", "a")
  return model and model.log
end

-- Who runs the projection while the operator asks.
local circumstances = {
  {
    words = "nobody runs",
    kinds = kit.kinds,
    begin = function(stores)
      local engine = kit.open(stores)
      kit.register(engine, kit.ledger())
      return engine, engine
    end,
    settle = function(engine)
      return engine:run_once()
    end,
  },
  {
    words = "the same engine runs #threads",
    kinds = kit.kinds,
    begin = function(stores)
      local engine = kit.open(stores)
      kit.register(engine, kit.ledger())
      assert(engine:start())
      return engine, engine
    end,
    settle = function(engine)
      return engine:wait { projection = "ledger" }
    end,
  },
  {
    words = "another engine runs #threads",
    kinds = { "sqlite" },
    begin = function(stores)
      local runner = kit.open(stores)
      kit.register(runner, kit.ledger())
      assert(runner:start())
      kit.wait_state(runner, "ledger", "live")
      return kit.open(stores), runner
    end,
    settle = function(engine)
      return engine:wait { projection = "ledger" }
    end,
  },
}

for _, case in ipairs(circumstances) do
  for _, kind in ipairs(case.kinds) do
    describe("a request on " .. kind .. " stores where " .. case.words,
      function()
        local missing = kit.missing(kind)
        if missing then
          pending(missing)
          return
        end

        after_each(kit.close_all)

        it("pauses and resumes", function()
          local asker, runner = case.begin(kit.stores(kind))
          kit.append(runner, events(1, 3))
          assert(case.settle(runner))
          assert.is_true(asker:pause "ledger")
          kit.append(runner, events(4, 5))
          if runner == asker and not case.words:find "threads" then
            assert(runner:run_once())
          else
            local ok, message, code =
              runner:wait { projection = "ledger", timeout = 0.1 }
            assert.is_nil(ok)
            assert.equal("timeout", code)
            assert.matches("%(paused%)", message)
          end
          assert.equal("paused", kit.status(asker, "ledger").state)
          assert.equal("1,2,3,", log(asker))
          assert.is_true(asker:resume "ledger")
          assert(case.settle(runner))
          assert.equal("1,2,3,4,5,", log(asker))
        end)

        it("rebuilds", function()
          local asker, runner = case.begin(kit.stores(kind))
          kit.append(runner, events(1, 5))
          assert(case.settle(runner))
          for _ = 1, 5 do
            assert.is_true(asker:rebuild "ledger")
            assert(case.settle(runner))
            assert.equal("1,2,3,4,5,", log(asker))
          end
        end)

        it("moves the checkpoint of what is paused", function()
          local asker, runner = case.begin(kit.stores(kind))
          kit.append(runner, events(1, 5))
          assert(case.settle(runner))
          assert.is_true(asker:pause "ledger")
          assert.is_true(asker:set_checkpoint("ledger", "3"))
          assert.equal("3", asker:checkpoint("ledger").position)
          assert.is_true(asker:resume "ledger")
          assert(case.settle(runner))
          assert.equal("1,2,3,4,5,4,5,", log(asker))
        end)

        it("refuses a position that is none", function()
          local asker, runner = case.begin(kit.stores(kind))
          kit.append(runner, events(1, 2))
          assert(case.settle(runner))
          assert.is_true(asker:pause "ledger")
          local ok, message, code = asker:set_checkpoint("ledger", "here")
          assert.is_nil(ok)
          assert.matches("here", message)
          assert.equal("invalid", code)
        end)

        it("refuses a position beyond the head", function()
          local asker, runner = case.begin(kit.stores(kind))
          kit.append(runner, events(1, 2))
          assert(case.settle(runner))
          assert.is_true(asker:pause "ledger")
          local ok, message, code = asker:set_checkpoint("ledger", "3")
          assert.is_nil(ok)
          assert.matches("ledger: position 3 lies beyond the head of the "
            .. "event store, which is 2", message, 1, true)
          assert.equal("invalid", code)
          assert.equal("2", asker:checkpoint("ledger").position)
          assert.is_true(asker:set_checkpoint("ledger", "2"))
        end)

        it("deletes the checkpoint of what is paused, and its models",
          function()
            local asker, runner = case.begin(kit.stores(kind))
            kit.append(runner, events(1, 5))
            assert(case.settle(runner))
            assert.is_true(asker:pause "ledger")
            assert.is_true(asker:delete_checkpoint "ledger")
            assert(case.settle(runner))
            assert.equal("1,2,3,4,5,", log(asker))
          end)

        it("says what there is nothing of", function()
          local asker = case.begin(kit.stores(kind))
          for _, method in ipairs {
            "pause", "resume", "rebuild", "retry", "discard",
            "delete_checkpoint", "adopt_checkpoint",
          } do
            local ok, message, code = asker[method](asker, "nobody")
            assert.is_nil(ok)
            assert.matches("nobody", message)
            assert.equal("not_found", code)
          end
        end)
      end)
  end
end

for _, kind in ipairs(kit.kinds) do
  describe("a request on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    it("pauses what has never run", function()
      local engine = kit.open(kit.stores(kind))
      kit.register(engine, kit.ledger())
      kit.append(engine, events(1, 2))
      assert.is_true(engine:pause "ledger")
      assert(engine:run_once())
      assert.is_nil(log(engine))
      assert.equal("paused", kit.status(engine, "ledger").state)
    end)

    it("keeps a projection paused over a restart", function()
      local stores = kit.stores(kind)
      local engine = kit.open(stores)
      kit.register(engine, kit.ledger())
      kit.append(engine, events(1, 2))
      assert(engine:run_once())
      assert(engine:pause "ledger")
      engine = kit.reopen(engine, stores)
      assert.equal("paused", kit.status(engine, "ledger").state)
      kit.register(engine, kit.ledger())
      kit.append(engine, events(3, 3))
      assert(engine:run_once())
      assert.equal("1,2,", log(engine))
      assert(engine:resume "ledger")
      assert(engine:run_once())
      assert.equal("1,2,3,", log(engine))
    end)

    it("refuses to move a checkpoint under a running projection #threads",
      function()
        local engine = kit.open(kit.stores(kind))
        kit.register(engine, kit.ledger())
        kit.append(engine, events(1, 2))
        assert(engine:start())
        assert(engine:wait { projection = "ledger" })
        for _, ask in ipairs {
          function() return engine:set_checkpoint("ledger", "1") end,
          function() return engine:delete_checkpoint "ledger" end,
        } do
          local ok, message, code = ask()
          assert.is_nil(ok)
          assert.matches("ledger is running: pause it", message)
          assert.equal("config", code)
        end
        assert.equal("2", engine:checkpoint("ledger").position)
      end)

    it("moves the checkpoint of what failed and was paused #threads",
      function()
        local engine = kit.open(kit.stores(kind))
        kit.register(engine, kit.ledger())
        kit.append(engine, {
          { n = 1, ids = "a" },
          { n = 2, ids = "a", fail = true },
          { n = 3, ids = "a" },
        })
        assert(engine:start())
        kit.wait_state(engine, "ledger", "failed")
        assert.is_true(engine:pause "ledger")
        assert.is_true(engine:set_checkpoint("ledger", "2"))
        assert.is_true(engine:resume "ledger")
        assert(engine:wait { projection = "ledger" })
        assert.equal("1,3,", log(engine))
      end)

    it("makes a failed projection try again by resuming it #threads",
      function()
        local engine = kit.open(kit.stores(kind))
        kit.register(engine, [[
          local tries = 0
          return {
            name = "ledger", version = 1, fields = { log = "text" },
            extract_model_id = function() return "a" end,
            apply_to_model = function()
              tries = tries + 1
              assert(tries > 1, "the first time it fails")
              return { log = "done" }
            end,
          }
        ]])
        kit.append(engine, events(1, 1))
        assert(engine:start())
        local status = kit.wait_state(engine, "ledger", "failed")
        assert.matches("the first time it fails", status.last_error)
        assert.is_true(engine:resume "ledger")
        assert(engine:wait { projection = "ledger" })
        assert.equal("done", log(engine))
      end)

    it("discards and rebuilds only with the script", function()
      local stores = kit.stores(kind)
      if stores.models == "memory:" then
        stores.models = "sqlite:" .. helper.tmpdir() .. "/models.db"
      end
      local engine = kit.open(stores)
      kit.register(engine, kit.ledger())
      assert(engine:run_once())
      engine:close()
      engine = kit.open(stores)
      local ok, message, code = engine:rebuild "ledger"
      assert.is_nil(ok)
      assert.matches("ledger: cannot rebuild: its script is not registered",
        message)
      assert.equal("config", code)
      assert.is_true(engine:pause "ledger")
      assert.is_true(engine:delete_checkpoint "ledger")
      assert.is_nil((engine:checkpoint "ledger"))
    end)

    it("is executed by an engine that steps, at its next step", function()
      local stores = kit.stores "sqlite"
      local runner = kit.open(stores)
      kit.register(runner, kit.ledger())
      kit.append(runner, events(1, 2))
      assert.equal(2, runner:step "ledger")
      local asker = helper.spawn {
        helper.lunette, "pause", "ledger",
        "--events", stores.events, "--models", stores.models,
        "--projections", helper.tmpdir(),
      }
      local code = helper.wait(function()
        assert.is_false(runner:step "ledger")
        return asker:wait(1)
      end)
      assert.equal(0, code, asker:stderr())
      kit.append(runner, events(3, 3))
      assert.is_false(runner:step "ledger")
      assert.equal("1,2,", log(runner))
    end)

    it("waits no longer than it was told for an engine that steps now and "
      .. "then", function()
        local stores = kit.stores "sqlite"
        local runner = kit.open(stores)
        kit.register(runner, kit.ledger())
        assert.is_false(runner:step "ledger")
        local asker = kit.open(stores)
        local ok, message, code = asker:pause("ledger", 0.2)
        assert.is_nil(ok)
        assert.equal("timeout", code)
        assert.matches("did not answer within 200 ms", message)
        kit.append(runner, events(1, 1))
        assert.equal(1, runner:step "ledger")
      end)
  end)
end

describe("a request", function()
  after_each(kit.close_all)

  it("compares positions that are no numbers with the head #postgres",
    function()
      local missing = kit.missing "postgres"
      if missing then
        pending(missing)
        return
      end
      local engine = kit.open(kit.stores "postgres")
      kit.register(engine, kit.ledger())
      local first = kit.append(engine, events(1, 1))
      local last = kit.append(engine, events(2, 2))
      assert(engine:run_once())
      local transaction, number = last:match "^(%d+):(%d+)$"
      for _, beyond in ipairs {
        ("%d:%d"):format(transaction, number + 1),
        ("%d:1"):format(transaction + 1),
      } do
        local ok, message, code = engine:set_checkpoint("ledger", beyond)
        assert.is_nil(ok)
        assert.matches(beyond .. " lies beyond the head of the event store, "
          .. "which is " .. last, message, 1, true)
        assert.equal("invalid", code)
      end
      assert.is_true(engine:set_checkpoint("ledger", last))
      assert.is_true(engine:set_checkpoint("ledger", first))
      assert(engine:run_once())
      assert.equal("1,2,2,", log(engine))
    end)

  -- What the engine said, after looks that failed and a request that came
  -- through.
  local function log_of_failing_looks(code)
    local place = helper.tmpdir()
    helper.run { "mkdir", place .. "/projections" }
    helper.write_file(place .. "/projections/none.lua", [[
      return {
        name = "none",
        version = 1,
        extract_model_id = function() end,
        apply_to_model = function() end,
      }]])
    local runner = helper.spawn {
      helper.faulty_lunette, "run", "--projections",
      place .. "/projections", "--events", "sqlite:" .. place .. "/events.db",
      "--models", "faulty+sqlite:" .. place
      .. "/models.db?fail=request_next:1&times=4&code=" .. code,
    }
    helper.wait(function()
      return runner:stderr():find("request_next", 1, true)
    end)
    local asker = helper.spawn {
      helper.lunette, "pause", "none",
      "--events", "sqlite:" .. place .. "/events.db",
      "--models", "sqlite:" .. place .. "/models.db",
      "--projections", place .. "/projections",
    }
    assert.equal(0, asker:wait(), asker:stderr())
    runner:kill "TERM"
    assert.equal(0, runner:wait())
    return runner:stderr()
  end

  it("is looked for less and less while the store is away #threads",
    function()
      local _, told = log_of_failing_looks "unavailable"
        :gsub("looking for requests", "")
      assert.equal(1, told)
    end)

  it("fails a projection whose store is another, and says just that #threads",
    function()
      local _, told = log_of_failing_looks "config"
        :gsub("looking for requests", "")
      assert.equal(0, told)
    end)
end)

describe("a request to an engine that stepped a projection", function()
  local missing = kit.missing "postgres"
  if missing then
    pending(missing)
    return
  end

  after_each(kit.close_all)

  it("goes to the one that took it when the lease ran out #threads",
    function()
      local stores = kit.stores "sqlite to postgres"
      local former = kit.open(stores, { lease_ms = "1000" })
      local owner = kit.open(stores)
      kit.register(former, kit.ledger())
      kit.register(owner, kit.ledger())
      kit.append(former, events(1, 3))
      assert.equal(3, former:step "ledger")
      helper.wait(function()
        return owner:step "ledger" ~= nil
      end)
      assert(owner:start())
      assert.is_true(former:pause("ledger", 10))
      kit.wait_state(owner, "ledger", "paused")
      assert.is_true(former:resume("ledger", 10))
      kit.append(former, events(4, 4))
      assert(owner:wait { projection = "ledger" })
      assert.equal("1,2,3,4,", log(owner))
    end)
end)

-- What is known about projections: their names, and the status of each.

local kit = require "spec.engine.engine_kit"

for _, kind in ipairs(kit.kinds) do
  describe("the projections of an engine on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    local engine

    before_each(function()
      engine = kit.open(kit.stores(kind))
      kit.register(engine, kit.ledger { name = "one", on_error = "park" })
      kit.append(engine, {
        { n = 1, ids = "a" },
        { n = 2, ids = "b", fail = true },
      })
      assert(engine:run_once())
    end)

    after_each(kit.close_all)

    it("are the registered and those stored, each once", function()
      kit.register(engine, kit.ledger { name = "two" })
      assert.same({ "one", "two" }, engine:projections())
      assert(engine:delete_checkpoint "one")
      assert.same({ "one", "two" }, engine:projections())
    end)

    it("have a status each, as in the list of all", function()
      assert.same(engine:status()[1], engine:status "one")
      assert.equal("2", engine:status("one").position)
      kit.register(engine, kit.ledger { name = "two" })
      assert.equal("new", engine:status("two").state)
      local status, message, code = engine:status "nobody"
      assert.is_nil(status)
      assert.equal("not_found", code)
      assert.equal("there is no projection nobody", message)
    end)

    it("have their counts in the checkpoint", function()
      local checkpoint = engine:checkpoint "one"
      assert.equal(1, checkpoint.parked)
      assert.equal(0, checkpoint.skipped)
    end)
  end)
end

describe("the names of projections", function()
  after_each(kit.close_all)

  it("are told without asking the event store", function()
    local stores = kit.stores "sqlite"
    local writer = kit.open(stores)
    kit.register(writer, kit.ledger())
    kit.append(writer, { { n = 1, ids = "a" } })
    assert(writer:run_once())
    stores.events = "faulty+" .. stores.events
      .. "?fail=connect:1&times=1000000"
    local engine = kit.open(stores)
    assert.same({ "ledger" }, engine:projections())
    assert.is_not_nil(engine:get("ledger", "a"))
    assert.is_nil((engine:events()))
  end)

  it("are none where nothing is", function()
    assert.same({}, kit.open(kit.stores "memory"):projections())
  end)
end)

describe("a step of every projection", function()
  after_each(kit.close_all)

  it("gives each its turn, and then tells the first failure", function()
    local engine = kit.open(kit.stores "memory")
    assert.is_false(engine:step())
    kit.register(engine, kit.ledger { name = "fails" })
    kit.register(engine, kit.ledger { name = "parks", on_error = "park" })
    kit.append(engine, {
      { n = 1, ids = "a" },
      { n = 2, ids = "b", fail = true },
    })
    local events, message, code
    repeat
      events, message, code = engine:step()
    until not events
    assert.is_nil(events)
    assert.equal("script", code)
    assert.matches("^fails: event 2", message)
    assert.same({ b = { 2 } }, kit.parked(engine, "parks"))
  end)
end)

-- Tokens and positions, wherever an engine gives and takes them.

local kit = require "spec.engine.engine_kit"
local lunette = require "lunette"
local values = require "values_test"

for _, kind in ipairs(kit.kinds) do
  describe("tokens on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    local engine

    before_each(function()
      engine = kit.open(kit.stores(kind))
      kit.register(engine, kit.ledger { on_error = "park" })
    end)

    after_each(kit.close_all)

    it("name the event store by its identity", function()
      local _, _, token = kit.append(engine, { { n = 1, ids = "a" } })
      assert(engine:run_once())
      local checkpoint = assert(engine:checkpoint "ledger")
      assert.equal(values.token_format(checkpoint.event_store, 0, 1), token)
    end)

    it("are the same one everywhere", function()
      local position, list, token = kit.append(engine, {
        { n = 1, ids = "a" },
        { n = 2, ids = "b", fail = true },
      })
      assert.equal("2", position)
      assert.equal(token, list[2].token)
      assert.is_true(list[1].token < token)
      assert(engine:run_once())
      assert.equal(token, engine:checkpoint("ledger").token)
      assert.equal(token, kit.status(engine, "ledger").token)
      assert.equal(token, engine:parked("ledger")[1].token)
      local events = assert(engine:events())
      assert.equal(list[1].token, events[1].token)
      assert.equal(token, events[2].token)
      local one, about, its = engine:append(kit.event { n = 3, ids = "a" })
      assert.equal("3", one)
      assert.equal(its, about.token)
    end)

    it("stand for a position wherever one is taken", function()
      local _, list, token = kit.append(engine, {
        { n = 1, ids = "a" },
        { n = 2, ids = "a" },
      })
      assert.is_true(engine:wait { projection = "ledger", after = token })
      assert.equal("1,2,", engine:get("ledger", "a").log)
      assert.is_true(engine:wait { projection = "ledger", after = token })
      assert.equal(1, #engine:events { after = list[1].token })
      assert.equal(0, #engine:events { after = token })
      assert(engine:pause "ledger")
      assert(engine:set_checkpoint("ledger", list[1].token))
      assert.equal("1", engine:checkpoint("ledger").position)
      assert(engine:set_checkpoint("ledger", "2"))
      assert.equal(token, engine:checkpoint("ledger").token)
    end)

    it("are refused when they are of another store, or of no event", function()
      kit.append(engine, { { n = 1, ids = "a" } })
      assert(engine:run_once())
      local identity = engine:checkpoint("ledger").event_store
      for token, words in pairs {
        [values.token_format("another", 0, 1)] = "of another event store",
        ["2" .. values.token_format(identity, 0, 1):sub(2)] =
          "of another format",
        [values.token_format(identity, 0, 1) .. "0"] = "is no token",
        [values.token_format(identity, -1, 1)] = "no position of this event",
      } do
        for _, use in ipairs {
          function()
            return engine:wait { projection = "ledger", after = token }
          end,
          function() return engine:events { after = token } end,
          function() return engine:set_checkpoint("ledger", token) end,
        } do
          local done, message, code = use()
          assert.is_nil(done)
          assert.equal("invalid", code)
          assert.matches(words, message)
        end
      end
      assert.equal("1", engine:checkpoint("ledger").position)
    end)

    it("are there for what has not begun", function()
      assert.equal(("0"):rep(32),
        kit.status(engine, "ledger").token:match "%-(%x+)$")
      kit.append(engine, { { n = 1, ids = "a" } })
      local token = engine:events()[1].token
      assert.is_true(engine:wait { projection = "ledger", after = token })
    end)
  end)
end

describe("tokens", function()
  after_each(kit.close_all)

  it("of skipped events are those of the events", function()
    local engine = kit.open(kit.stores "memory")
    kit.register(engine, kit.ledger { on_error = "skip" })
    local _, _, token = kit.append(engine,
      { { n = 1, ids = "a", fail = true } })
    assert(engine:run_once())
    assert.equal(token, engine:skipped("ledger")[1].token)
  end)

  it("are left out where the store cannot say which it is", function()
    local engine = kit.open {
      events = "faulty+memory:?fail=identity:1&times=1000000",
      models = "memory:",
    }
    local position, about, token = assert(engine:append(kit.event { n = 1 }))
    assert.equal("1", position)
    assert.is_nil(about.token)
    assert.is_nil(token)
    assert.equal(lunette.null, engine:events()[1].token)
  end)

  it("belong to the store that the projection reads, by its checkpoint",
    function()
      local stores = kit.stores "sqlite"
      local other = kit.open(kit.stores "sqlite")
      local _, _, foreign = kit.append(other, { { n = 1, ids = "a" } })
      local engine = kit.open(stores)
      kit.register(engine, kit.ledger())
      local _, _, token = kit.append(engine, { { n = 1, ids = "a" } })
      assert(engine:run_once())
      assert(engine:wait { projection = "ledger", after = token })
      local ok, message = engine:wait { projection = "ledger", after = foreign }
      assert.is_nil(ok)
      assert.matches("of another event store", message)
      assert.equal(foreign:sub(10), token:sub(10))
    end)
end)

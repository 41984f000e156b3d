require "spec.helper"
local event_store = require "event_store_test"
local contract = require "spec.stores.event_store_contract"

describe("a memory event store", function()
  contract {
    url = function()
      return "memory:"
    end,
    options = { busy_timeout_ms = 20 },
    polled = true,
    tenants = true,
  }

  it("has no name", function()
    local store, message, code = event_store.open "memory:events"
    assert.is_nil(store)
    assert.equal("config", code)
    assert.matches("write memory:", message)
  end)

  it("shares nothing with another one", function()
    local one = assert(event_store.open "memory:")
    local two = assert(event_store.open "memory:")
    assert(one:append { { stream = "a", type = "T", data = "1" } })
    assert.equal("0", two:head())
    one:close()
    two:close()
  end)

  it("has nothing to wake a reader with", function()
    local store = assert(event_store.open "memory:")
    assert.equal(-1, store:wake_fd())
    store:drain()
    store:close()
  end)
end)

local contract = require "spec.stores.model_store_contract"
local kit = require "spec.stores.model_kit"

describe("the memory model store", function()
  contract(function()
    return assert(kit.open "memory:")
  end)

  it("is another place each time it is opened", function()
    kit.own(assert(kit.open "memory:"), kit.account_schema())
    assert.same({}, assert(kit.open "memory:"):list())
  end)

  it("stays as long as one connection does", function()
    local store = assert(kit.open "memory:")
    local other = assert(store:connect())
    local owner = kit.own(store, kit.account_schema())
    owner:commit { a = { balance = 1 } }
    store:close()
    assert.same({ a = { balance = 1 } }, other:load(owner.schema, { "a" }))
  end)

  it("has no path", function()
    local store, message, code = kit.open "memory:x.db"
    assert.is_nil(store)
    assert.equal("config", code)
    assert.truthy(message:find "memory has no path")
  end)
end)

-- Which driver a URL is for.

require "spec.helper"
local event_store = require "event_store_test"
local kit = require "spec.stores.model_kit"

local kinds = {
  { "an event store", event_store.open },
  { "a model store", kit.open },
}
for _, kind in ipairs(kinds) do
  local name, open = kind[1], kind[2]

  local function message_of(url)
    local store, message, code = open(url)
    assert.is_nil(store)
    assert.equal("config", code)
    return message
  end

  describe("the URL of " .. name, function()
    for _, url in ipairs {
      "", "memory", "events.db", "mongo:x", "sqlit:x", "sqlitex:x", ":x",
    } do
      it("names no kind that exists: '" .. url .. "'", function()
        assert.matches("no such kind of store; write ", message_of(url))
      end)
    end

    it("has a scheme that may have a second name", function()
      for _, scheme in ipairs { "postgres", "postgresql" } do
        local message = message_of(scheme .. ":///x?nonsense=1")
        assert.not_matches("no such kind of store", message)
        assert.matches("nonsense", message)
      end
    end)

    it("goes on behind a plus with what the first kind wraps", function()
      assert.matches("memory.*memory:", message_of "faulty+memory:x")
    end)

    it("keeps the password of what is no URL to itself", function()
      for _, url in ipairs {
        "host=db password=secret", "postgres//me/secret@db/x",
      } do
        local message = message_of(url)
        assert.matches("no such kind of store", message)
        assert.not_matches("secret", message)
      end
    end)
  end)
end

-- Stores in schemas and databases of any name.

local event_store = require "event_store_test"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"

local server, reason = postgres.start()

local script = [[return {
  name = "%s", version = 1, on_error = "park",
  fields = { n = "integer", note = "text" }, indexes = { "n" },
  extract_model_id = function(event) return event.stream end,
  apply_to_model = function(model, event)
    if event.type == "Bad" then error "refused" end
    return { n = (model and model.n or 0) + 1, note = event.type }
  end,
}]]

-- Any byte that is no NUL, written with % escapes.
local function encoded(text)
  return (text:gsub("[^%w]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local names = { 'a b', 'a.b', 'a"b', "it's; DROP", "50%", "@x", "ünïcode",
  "UPPER", "select", ("x"):rep(63), "a\\b", "$1" }

describe("a schema #postgres", function()
  if not server then
    pending(reason)
    return
  end

  for _, name in ipairs(names) do
    it("may be named " .. name, function()
      local database = server:new_database()
      local url = database:with("schema=" .. encoded(name))
      for _ = 1, 2 do
        local engine = assert(lunette.open { events = url, models = url })
        assert(engine:register { source = script:format "counter" })
        assert(engine:append {
          { stream = name .. "\1", type = "Counted", data = {} },
          { stream = "b", type = "Bad", data = {} },
        })
        assert(engine:run_once())
        assert.equal("Counted", engine:get("counter", name .. "\1").note)
        assert(engine:rebuild "counter")
        assert(engine:run_once())
        engine:close()
      end
      local engine = assert(lunette.open { events = url, models = url })
      assert.equal(2, engine:get("counter", name .. "\1").n)
      assert.equal(2, #assert(engine:parked "counter"))
      assert.equal(2, #assert(engine:events { stream = name .. "\1" }))
      engine:close()
    end)
  end

  it("must have a name that PostgreSQL takes", function()
    local database = server:new_database()
    for name, words in pairs {
      [""] = "a name has", ["%ff"] = "a name has", ["a%00"] = "NUL byte",
      [("x"):rep(64)] = "a name has",
    } do
      for _, open in ipairs { event_store.open, function(url)
        return lunette.open { events = "memory:", models = url }
      end } do
        local store, message, code = open(database:with("schema=" .. name))
        assert.is_nil(store)
        assert.equal("config", code)
        assert.matches(words, message)
      end
    end
  end)
end)

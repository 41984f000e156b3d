require "spec.helper"
local lunette = require "lunette"
local script_test = require "script_test"

-- What `body` returns for one event, as JSON of { v = ... }.
local function see(body, event)
  local script, err = script_test.load(([[
    return {
      name = "p", version = 1,
      extract_model_id = function() return "m" end,
      apply_to_model = function(_, event)
        local data = event.data
        %s
      end,
    }]]):format(body:find "return" and
      "return { v = (function() " .. body .. " end)() }"
      or "return { v = " .. body .. " }"))
  assert(script, err and err.message)
  local failure = script:run({ event or {} })[1]
  if failure then
    return nil, failure.message:match "^script.lua:6: (.*)$"
      or failure.message
  end
  return script:get("m"):match '^{"id":"m","v":(.*)}$'
    or script:get "m"
end

local full = {
  id = "e-1",
  stream = "account-7",
  type = "Opened",
  version = 3,
  recorded_at = 1700000000000000,
  data = [[{"text":"caf\u00e9 \"x\"","plain":"é","int":9007199254740993,
    "float":2.50,"whole":3.0,"yes":true,"no":false,"none":null,
    "list":[1,[2],{"a":null}],"object":{"b":1,"a":{}},"empty":[],
    "k\u0065y":"escaped","":"nameless"}]],
  metadata = '{"user":"ada","tags":["x"]}',
}

describe("an event", function()
  it("has its fields", function()
    assert.equal('"e-1"', see("event.id", full))
    assert.equal('"account-7"', see("event.stream", full))
    assert.equal('"Opened"', see("event.type", full))
    assert.equal("3", see("event.version", full))
    assert.equal("1700000000000000", see("event.recorded_at", full))
    assert.equal('"00000000000000000000000000000001"',
      see("event.position", full))
    assert.equal('"ada"', see("event.metadata.user", full))
    assert.equal('{"tags":["x"],"user":"ada"}', see("event.metadata", full))
  end)

  it("has its tenant, where its event store has tenants", function()
    assert.equal('"acme"', see("event.tenant", { tenant = "acme" }))
    assert.equal('"acme"', see([[
      for key, value in pairs(event) do
        if key == "tenant" then return value end
      end]], { tenant = "acme" }))
    assert.equal("true", see("event.tenant == nil", full))
  end)

  it("has no metadata if there was none", function()
    assert.equal("true", see "event.metadata == nil")
  end)

  it("has its position as its event store writes it", function()
    local source = [[return {
      name = "p", version = 1,
      extract_model_id = function(event) return event.position end,
      apply_to_model = function(_, event) return { %s = event.position } end,
    }]]
    local engine =
      assert(lunette.open { events = "memory:", models = "memory:" })
    for _, name in ipairs { "loaded", "reloaded" } do
      local appended = assert(engine:append {
        stream = "s", type = "T", data = {},
      })
      assert(engine:register { source = source:format(name) })
      assert(engine:run_once())
      assert.equal(appended, assert(engine:get("p", appended))[name])
    end
    engine:close()
  end)

  it("says which field it does not have", function()
    local _, message = see "event.tpye"
    assert.equal('an event has no field "tpye"', message)
    _, message = see "event[1]"
    assert.equal('an event has no field "1"', message)
  end)

  it("cannot be changed", function()
    for _, target in ipairs {
      "event.type", "event.data", "event.x", "event.data.plain",
      "event.data.x", "event.metadata.user",
    } do
      local _, message = see(target .. " = 1 return 1", full)
      assert.equal("events cannot be changed", message)
    end
    local _, message = see "rawset(event, 'x', 1) return 1"
    assert.matches("table expected", message)
  end)

  it("is walked by pairs", function()
    assert.equal('"data id metadata position recorded_at stream type version"',
      see([[
        local names = {}
        for name, value in pairs(event) do
          assert(event[name] == value)
          names[#names + 1] = name
        end
        return table.concat(names, " ")]], full))
    assert.equal("7", see
      "local n = 0 for _ in pairs(event) do n = n + 1 end return n")
  end)

  it("prints as JSON", function()
    assert.equal('{"data":{"n":1},"id":"no-id","position":'
      .. '"00000000000000000000000000000001","recorded_at":0,"stream":"s",'
      .. '"type":"T","version":1}',
      (see("tostring(event)", { data = '{ "n": 1 }' })
        :gsub('\\"', '"'):match '^"(.*)"$'))
    assert.equal([["{\"a\":1,\"b\":[2]}"]],
      see("tostring(data)", { data = '{"b":[2], "a":1}' }))
  end)

  it("becomes a plain table on demand", function()
    assert.equal('{"data":{"a":[1]},"id":"no-id","position":'
      .. '"00000000000000000000000000000001","recorded_at":0,"stream":"s",'
      .. '"type":"changed","version":1}',
      see([[
        local copy = lunette.table(event)
        copy.type = "changed"
        copy.data.a[1] = 1
        assert(next(copy) ~= nil)
        return copy]], { data = '{"a":[2]}' }))
  end)

  it("raises when it is used after its batch", function()
    local script = assert(script_test.load [[
      local old, old_data, walk
      return {
        name = "p", version = 1,
        extract_model_id = function() return "m" end,
        apply_to_model = function(_, event)
          if old then
            local uses = {
              function() return old.type end,
              function() return old_data.x end,
              function() return #old_data end,
              function() return pairs(old) end,
              function() return pairs(old_data) end,
              function() return tostring(old) end,
              function() return lunette.table(old_data) end,
              function() return { old_data } end,
              walk,
            }
            local count = 0
            for _, use in ipairs(uses) do
              local ok, message = pcall(use)
              if not ok then
                assert(message:find("used after its batch", 1, true))
                count = count + 1
              end
            end
            return { count = count }
          end
          old, old_data = event, event.data
          walk = pairs(event.data)
          return { x = event.data.x }
        end }]])
    local events = { { data = '{"x":1}' }, { data = '{"x":2}' } }
    assert.same({}, script:run(events, 1))
    assert.equal('{"id":"m","count":8}', script:get "m")
    script:run(events)
    assert.equal('{"id":"m","count":8}', script:get "m")
  end)

  it("stays usable to the end of its batch", function()
    local script = assert(script_test.load [[
      local first
      return {
        name = "p", version = 1,
        extract_model_id = function(event)
          first = first or event
          return "m"
        end,
        apply_to_model = function(_, event)
          return { first = first.data.x, this = event.data.x }
        end }]])
    assert.same({}, script:run { { data = '{"x":1}' }, { data = '{"x":2}' } })
    assert.equal('{"id":"m","first":1,"this":2}', script:get "m")
  end)
end)

describe("the data of an event", function()
  it("has its members as Lua values", function()
    assert.equal([["café \"x\""]], see("data.text", full))
    assert.equal('"é"', see("data.plain", full))
    assert.equal("9007199254740993", see("data.int", full))
    assert.equal("2.5", see("data.float", full))
    assert.equal('"float"', see("math.type(data.whole)", full))
    assert.equal("true", see("data.yes", full))
    assert.equal("false", see("data.no", full))
    assert.equal('[1,[2],{"a":null}]', see("data.list", full))
    assert.equal('{"a":{},"b":1}', see("data.object", full))
    assert.equal('[]', see("data.empty", full))
    assert.equal('"escaped"', see("data.key", full))
    assert.equal('"nameless"', see("data['']", full))
  end)

  it("has nil for what is absent and lunette.null for null", function()
    assert.equal("true", see("data.none == lunette.null", full))
    assert.equal("true", see("data.missing == nil", full))
    assert.equal("true", see("data[1] == nil", full))
    assert.equal("true", see("data[true] == nil", full))
    assert.equal('"nothing"',
      see("data.none ~= lunette.null and 'something' or 'nothing'", full))
  end)

  it("gives the same object for the same access", function()
    assert.equal("true", see("event.data == event.data", full))
    assert.equal("true", see("event.metadata == event.metadata", full))
    assert.equal("true", see("data.list == event.data.list", full))
    assert.equal("true", see([[
      for name, value in pairs(data) do
        assert(data[name] == value, name)
      end
      return true]], full))
    assert.equal("5", see([[
      data.list[1] = 5
      return data.list[1]
    ]], full))
  end)

  it("is for each handler as it was recorded", function()
    for _, data in ipairs { '{"list":[1]}', '[1]' } do
      local script = assert(script_test.load [[
        local function add(event)
          local list = event.data.list or event.data
          list[#list + 1] = 2
          event.metadata.tags[#event.metadata.tags + 1] = "y"
          return #list + #event.metadata.tags
        end
        return {
          name = "p", version = 1,
          extract_model_id = function(event)
            add(event)
            return { "m", "n" }
          end,
          apply_to_model = function(_, event) return { n = add(event) } end,
        }]])
      assert.same({}, script:run {
        { data = data, metadata = '{"tags":["x"]}' } })
      assert.equal('{"id":"m","n":4}', script:get "m")
      assert.equal('{"id":"n","n":4}', script:get "n")
    end
  end)

  it("is walked by pairs in its own order", function()
    assert.equal('"text plain int float whole yes no none list object empty '
      .. 'key "', see([[
        local names = {}
        for name in pairs(data) do names[#names + 1] = name end
        return table.concat(names, " ")]], full))
  end)

  it("knows how many members it has", function()
    assert.equal("13", see("#data", full))
    assert.equal("0", see "#data")
  end)

  it("may be any JSON value", function()
    assert.equal("[1,2]", see("data", { data = "[1,2]" }))
    assert.equal("2", see("#data", { data = "[1,2]" }))
    assert.equal('"x"', see("data", { data = '"x"' }))
    assert.equal("5", see("data", { data = " 5 " }))
    assert.equal("null", see("data", { data = "null" }))
  end)

  it("can be stored as it is", function()
    assert.equal('{"a":[1,null],"b":2.5}',
      see("data", { data = ' { "b" : 2.5 , "a" : [ 1 , null ] } ' }))
    assert.equal('[{"x":1},{"x":1}]',
      see("{ data, data }", { data = '{"x":1}' }))
  end)

  it("may have a great many members", function()
    local members = {}
    for i = 1, 3000 do
      members[i] = ('"k%d":%d'):format(i, i)
    end
    local event = { data = "{" .. table.concat(members, ",") .. "}" }
    assert.equal("3000", see("#data", event))
    assert.equal("2999", see("data.k2999", event))
  end)

  it("must be JSON when it is touched, and only then", function()
    local _, message = see("event.data", { data = '{"a":' })
    assert.matches("event data: .*invalid JSON at byte", message)
    _, message = see("data.a", { data = '{"a":1,"a":2}' })
    assert.matches("duplicate key", message)
    local script = script_test.load [[return { name = "p", version = 1,
      extract_model_id = function(event) return event.type end,
      apply_to_model = function() return { fine = true } end }]]
    assert.same({}, script:run { { data = "no json" } })
  end)
end)

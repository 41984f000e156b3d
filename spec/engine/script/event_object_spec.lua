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
    assert.equal("true", see("data.list[3] == data.list[3]", full))
    assert.equal("true", see([[
      for _, value in ipairs { data.list, data.object } do
        for key, inner in pairs(value) do
          assert(value[key] == inner, key)
        end
      end
      return true]], full))
  end)

  it("cannot be changed at any depth, in any way", function()
    local ways = {
      "V[1] = 5", "V.b = 5", "V.new = 5", "V[#V + 1] = 5", "V[1] = nil",
      "table.insert(V, 5)", "table.insert(V, 1, 5)", "table.remove(V)",
      "table.remove(V, 1)", "table.sort(V, function() return false end)",
      "table.move({ 5 }, 1, 1, 1, V)", "table.move(V, 1, 1, 2)",
      "rawset(V, 1, 5)", "rawset(V, 'b', 5)", "setmetatable(V, {})",
      "setmetatable(V, nil)",
    }
    local refusals = { "events cannot be changed", "table expected",
      "protected metatable" }
    for _, place in ipairs { "data.list", "data.list[2]", "data.list[3]",
      "data.object", "data.object.a", "data.empty", "event.metadata.tags",
      "event.data", "event.metadata", "whole", "whole[1]",
      "select(2, next(data.list, 1))",
      "select(2, ipairs(data.list)(data.list, 1))",
    } do
      for _, way in ipairs(ways) do
        local event = full
        local body = way:gsub("V", "value")
        if place:find "whole" then
          event = { data = "[[3,1,2],1]" }
        end
        local _, message = see(("local value = %s %s return 1"):format(
          place:gsub("whole", "data"), body), event)
        local found = false
        for _, refusal in ipairs(refusals) do
          found = found or message:find(refusal, 1, true) ~= nil
        end
        assert.is_true(found, place .. " " .. way .. ": " .. message)
      end
    end
    local _, message = see("local c = data.list[2] c[1] = 0 return c", full)
    assert.equal("events cannot be changed: lunette.table(value) is a copy "
      .. "that can", message)
  end)

  it("is read like tables at any depth", function()
    for body, value in pairs {
      ["data.list[2][1]"] = "2",
      ["#data.list"] = "3",
      ["#data.object"] = "2",
      ["#data.empty"] = "0",
      ["data.list[4] == nil"] = "true",
      ["data.list.x == nil"] = "true",
      ["data.object[1] == nil"] = "true",
      ["data.list[3].a == lunette.null"] = "true",
      ["type(data.list)"] = '"table"',
      ["type(data)"] = '"table"',
      ["type(event)"] = '"table"',
      ["type(data.text)"] = '"string"',
      ["next(data.empty) == nil"] = "true",
      ["next(data.object.a) == nil"] = "true",
      ["select(2, next(data.object, (next(data.object)))) ~= nil"] = "true",
      ["table.concat(lunette.table(data.list[2]))"] = '"2"',
      ["table.concat(data.list[2], '-')"] = '"2"',
      ["select('#', table.unpack(data.list))"] = "3",
      ["{ table.unpack(data.list[2]) }"] = "[2]",
      ["tostring(data.object)"] = '"{\\"a\\":{},\\"b\\":1}"',
      ["getmetatable(data.list)"] = '"event data"',
      ["lunette.array(data.list)"] = '[1,[2],{"a":null}]',
      ["{ data.list, data.list[3] }"] = '[[1,[2],{"a":null}],{"a":null}]',
      ["lunette.table(data.list[3])"] = '{"a":null}',
      ["local n = 0 for i, v in ipairs(data.list) do n = n + i end return n"] =
        "6",
      ["local c = lunette.table(data.list) c[2][1] = 9 return "
        .. "{ c, data.list }"] = '[[1,[9],{"a":null}],[1,[2],{"a":null}]]',
      ["local keys = {} for k in pairs(data.object) do keys[#keys + 1] = k end "
        .. "table.sort(keys) return keys"] = '["a","b"]',
    } do
      assert.equal(value, see(body, full), body)
    end
    local _, message = see("next({}, 'none')", full)
    assert.matches("invalid key to 'next'", message)
    _, message = see("data.list[2][1].x", full)
    assert.matches("attempt to index a number value", message)
    _, message = see("data.text.account", full)
    assert.matches('a string has no "account": it is text and no object',
      message)
    _, message = see("data.account", { data = '"{\\"account\\":1}"' })
    assert.matches('a string has no "account"', message)
  end)

  it("is refused where it would nest too deep in a model", function()
    local deep = '{"a":' .. ("["):rep(98) .. ("]"):rep(98) .. "}"
    assert.is_string(see("data", { data = deep }))
    local _, message = see("{ { { data } } }", { data = deep })
    assert.matches("nested too deep", message)
    _, message = see("{ { { { data.a } } } }", { data = deep })
    assert.matches("nested too deep", message)
  end)

  it("belongs to its batch at any depth", function()
    local script = assert(script_test.load [[
      local old, inner
      return {
        name = "p", version = 1,
        extract_model_id = function() return "m" end,
        apply_to_model = function(_, event)
          if not old then
            old, inner = event.data.list, event.data.list[1]
            return { n = #inner }
          end
          for _, use in ipairs {
            function() return old[1] end, function() return #inner end,
            function() return pairs(inner) end,
            function() return next(inner) end,
            function() return tostring(old) end,
            function() return lunette.table(inner) end,
          } do
            local ok, message = pcall(use)
            assert(not ok and message:find("after its batch", 1, true))
          end
          return { n = 0 }
        end }]])
    assert.same({}, script:run({ { data = '{"list":[[1]]}' }, {} }, 1))
    assert.equal('{"id":"m","n":0}', script:get "m")
  end)

  it("may name the models itself", function()
    local script = assert(script_test.load [[return {
      name = "p", version = 1,
      extract_model_id = function(event) return event.data.ids end,
      apply_to_model = function(model) return { n = (model or { n = 0 }).n + 1 }
      end }]])
    assert.same({}, script:run { { data = '{"ids":["a",null,"b"]}' },
      { data = '{"ids":null}' }, { data = '{"ids":[]}' },
      { data = '{"ids":"a"}' } })
    assert.equal('{"id":"a","n":2}', script:get "a")
    assert.equal('{"id":"b","n":1}', script:get "b")
    local failure = script:run({ { data = '{"ids":{"a":1}}' } })[1]
    assert.matches("a table with the key a", failure.message)
  end)

  it("is for each handler as it was recorded", function()
    for _, data in ipairs { '{"list":[1]}', '[1]' } do
      local script = assert(script_test.load [[
        local function add(event)
          local list = event.data.list or event.data
          assert(not pcall(table.insert, list, 2))
          assert(not pcall(table.insert, event.metadata.tags, "y"))
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
      assert.equal('{"id":"m","n":2}', script:get "m")
      assert.equal('{"id":"n","n":2}', script:get "n")
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

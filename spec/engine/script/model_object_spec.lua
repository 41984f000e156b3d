local script_test = require "script_test"

-- The stored model after a handler returned `model` (Lua text), or nil and
-- what was wrong with it.
local function store(fields, model, event)
  local script, err = script_test.load(([[
    return { name = "p", version = 1, fields = { %s },
      extract_model_id = function() return "m" end,
      apply_to_model = function(model, event)
        return %s
      end }]]):format(fields, model))
  assert(script, err and err.message)
  local failure = script:run({ event or {} })[1]
  if failure then
    return nil, failure.message:match "^script.lua:3: apply_to_model: (.*)$"
      or failure.message
  end
  return script:get("m"):match '^{"id":"m",?(.*)}$'
end

local function refused(fields, model)
  return select(2, store(fields, model))
end

describe("a model with fields", function()
  it("holds each type", function()
    assert.equal('"b":true,"f":2.5,"i":-7,"j":{"a":[1]},"t":"é",'
      .. '"w":"2023-11-14T22:13:20.000000Z"',
      store([[i = "integer", f = "number", t = "text", b = "boolean",
        j = "json", w = "timestamp"]],
        [[{ i = -7, f = 2.5, t = "é", b = true, j = { a = { 1 } },
          w = 1700000000000000 }]]))
  end)

  it("has null where there is nothing", function()
    assert.equal('"a":null,"b":null,"c":null',
      store([[a = "text", b = "json", c = "boolean"]],
        "{ a = lunette.null, b = lunette.null }"))
  end)

  it("does not advise to declare a field that cannot be", function()
    assert.matches('^undeclared field: field name "rowid" is reserved',
      refused('balance = "integer"', "{ rowid = 1 }"))
    assert.matches('^undeclared field: field name "a b" must begin with',
      refused('balance = "integer"', "{ ['a b'] = 1 }"))
  end)

  it("names an undeclared field, and the one that was meant", function()
    assert.equal('undeclared field "ballance" (did you mean "balance"?): '
      .. "declare it in fields or remove it",
      refused('balance = "integer"', "{ ballance = 1 }"))
    assert.equal('undeclared field "xyz": declare it in fields or remove it',
      refused('balance = "integer"', "{ xyz = 1 }"))
    assert.matches("^a model's keys must be its field names, and one is a "
      .. "number$", refused('balance = "integer"', "{ 1 }"))
    assert.matches('^undeclared field: field name "' .. ("x"):rep(40)
      .. '..." has 60 bytes; at most 40',
      refused('balance = "integer"', '{ [("x"):rep(60)] = 1 }'))
  end)

  it("takes whole numbers as integers, and no others", function()
    assert.equal('"i":3', store('i = "integer"', "{ i = 3.0 }"))
    assert.equal('"i":-9223372036854775808',
      store('i = "integer"', "{ i = math.mininteger }"))
    assert.equal('"i":9007199254740993',
      store('i = "integer"', "{ i = 9007199254740993 }"))
    assert.equal('field "i": 3.5 is not a whole number',
      refused('i = "integer"', "{ i = 3.5 }"))
    for shown, value in pairs { ["1e+300"] = "1e300", ["-1e+20"] = "-1e20",
      ["9.2233720368548e+18"] = "2^63", ["-9.2233720368548e+18"] = "-2^63" } do
      assert.equal('field "i": ' .. shown .. " does not fit the 64 bits of an "
        .. "integer; declare the field as number",
        refused('i = "integer"', "{ i = " .. value .. " }"))
    end
    assert.equal('field "w": 1e+300 does not fit the 64 bits of an integer',
      refused('w = "timestamp"', "{ w = 1e300 }"))
    assert.equal('field "i": inf is not a whole number',
      refused('i = "integer"', "{ i = math.huge }"))
    assert.equal('field "i": expected integer, got text',
      refused('i = "integer"', '{ i = "3" }'))
    assert.equal('field "i": expected integer, got true',
      refused('i = "integer"', "{ i = true }"))
    assert.equal('field "i": expected integer, got a table',
      refused('i = "integer"', "{ i = {} }"))
  end)

  it("takes integers as numbers where that is exact", function()
    assert.equal('"f":3.0', store('f = "number"', "{ f = 3 }"))
    assert.equal('"f":9007199254740992.0',
      store('f = "number"', "{ f = 1 << 53 }"))
    assert.equal('field "f": 9007199254740993 has no exact floating-point '
      .. "form; declare the field as integer",
      refused('f = "number"', "{ f = (1 << 53) + 1 }"))
    assert.matches("has no exact floating%-point form",
      refused('f = "number"', "{ f = math.maxinteger }"))
    assert.equal('field "f": nan and infinity cannot be stored',
      refused('f = "number"', "{ f = 0/0 }"))
    assert.equal('field "f": nan and infinity cannot be stored',
      refused('f = "number"', "{ f = -math.huge }"))
    assert.equal('field "f": expected number, got text',
      refused('f = "number"', '{ f = "1" }'))
  end)

  it("knows one zero only", function()
    assert.equal('"f":0.0', store('f = "number"', "{ f = -0.0 }"))
  end)

  it("takes only text as text", function()
    assert.equal('"t":""', store('t = "text"', '{ t = "" }'))
    assert.equal('field "t": expected text, got 5',
      refused('t = "text"', "{ t = 5 }"))
    assert.equal('field "t": a text must not hold a NUL byte',
      refused('t = "text"', '{ t = "a\\0b" }'))
    assert.equal('field "t": a text must be UTF-8',
      refused('t = "text"', '{ t = "\\xff" }'))
  end)

  it("takes no NUL byte inside json either", function()
    for _, model in ipairs { '{ j = "a\\0b" }', '{ j = { ["\\0"] = 1 } }',
      '{ j = { { "x\\\\\\0" } } }' } do
      assert.equal('field "j": a text in json must not hold a NUL byte',
        refused('j = "json"', model))
    end
    assert.equal([["j":"\\u0000"]], store('j = "json"', '{ j = "\\\\u0000" }'))
  end)

  it("takes no NUL byte where the whole model is json", function()
    local script = assert(script_test.load [[
      return { name = "p", version = 1,
        extract_model_id = function() return "m" end,
        apply_to_model = function() return { t = "a\0b" } end }]])
    assert.matches("apply_to_model: a text must not hold a NUL byte$",
      script:run({ {} })[1].message)
  end)

  it("takes only booleans as booleans", function()
    assert.equal('"b":false', store('b = "boolean"', "{ b = false }"))
    assert.equal('field "b": expected boolean, got 0',
      refused('b = "boolean"', "{ b = 0 }"))
  end)

  it("takes microseconds and RFC 3339 text as timestamps", function()
    local w = 'w = "timestamp"'
    assert.equal('"w":"1970-01-01T00:00:00.000001Z"', store(w, "{ w = 1 }"))
    assert.equal('"w":"1970-01-01T00:00:00.000002Z"', store(w, "{ w = 2.0 }"))
    assert.equal('"w":"2023-11-14T21:13:20.500000Z"',
      store(w, '{ w = "2023-11-14T22:13:20.5+01:00" }'))
    assert.equal('field "w": "now" is not an RFC 3339 time',
      refused(w, '{ w = "now" }'))
    assert.equal('field "w": a time in microseconds outside the years 1 to '
      .. "9999", refused(w, "{ w = 1 << 60 }"))
    assert.equal('field "w": expected timestamp, got true',
      refused(w, "{ w = true }"))
  end)

  it("takes anything that is JSON as json", function()
    assert.equal('"j":[1,"x",null]',
      store('j = "json"', '{ j = { 1, "x", lunette.null } }'))
    assert.equal('"j":5', store('j = "json"', "{ j = 5 }"))
    assert.equal('"j":{"a":[],"b":1}', store('j = "json"', "{ j = event.data }",
      { data = '{"b":1,"a":[]}' }))
    assert.equal('field "j": items[2].price: a function cannot be stored',
      refused('j = "json"',
        "{ j = { items = { {}, { price = type } } } }"))
    assert.equal('field "j": nan cannot be stored',
      refused('j = "json"', "{ j = 0 / 0 }"))
  end)

  it("shows a handler what was stored, in the form of its type", function()
    local script = assert(script_test.load [[
      return { name = "p", version = 1,
        fields = { i = "integer", f = "number", w = "timestamp",
          n = "text", seen = "text" },
        extract_model_id = function() return "m" end,
        apply_to_model = function(model, event)
          if not model then
            return { i = 3.0, f = 3, w = "1970-01-01T00:00:01Z",
              n = lunette.null }
          end
          model.seen = table.concat({ math.type(model.i),
            math.type(model.f), math.type(model.w), type(model.n) }, " ")
          return model
        end }]])
    assert.same({}, script:run { {}, {} })
    assert.equal('{"id":"m","f":3.0,"i":3,"n":null,'
      .. '"seen":"integer float integer nil",'
      .. '"w":"1970-01-01T00:00:01.000000Z"}', script:get "m")
  end)

  it("may have a hundred of them", function()
    local fields, values = {}, {}
    for i = 1, 100 do
      fields[i] = ('f%d = "integer"'):format(i)
      values[i] = ("f%d = %d"):format(i, i)
    end
    local stored = store(table.concat(fields, ", "),
      "{ " .. table.concat(values, ", ") .. " }")
    assert.matches('"f100":100', stored)
    assert.matches('"f57":57', stored)
  end)
end)

describe("the id that a model says", function()
  -- What is stored of the model of id after `model` was returned, or nil and
  -- what was wrong.
  local function say(key, id, model)
    local fields = key and ('fields = { id = %q, n = "integer" },'):format(key)
    local script, err = script_test.load(([[
      return { name = "p", version = 1, %s
        extract_model_id = function() return %s end,
        apply_to_model = function(model, event)
          return %s
        end }]]):format(fields or "", id, model))
    assert(script, err and err.message)
    local failure = script:run({ {} })[1]
    if failure then
      return nil, failure.message:match ": apply_to_model: (.*)$"
    end
    return script:get((id:gsub('"', "")))
  end

  it("is passed over where it is the key", function()
    for _, id in ipairs { '"m"', "lunette.null", "nil" } do
      local model = "{ id = " .. id .. ", n = 1 }"
      assert.equal('{"id":"m","n":1}', say("text", '"m"', model))
      assert.equal('{"id":"m","n":1}', say(nil, '"m"', model))
    end
    for _, id in ipairs { "7", "7.0", '"7"' } do
      local model = "{ id = " .. id .. ", n = 1 }"
      assert.equal('{"id":7,"n":1}', say("integer", "7", model))
    end
    assert.equal('{"id":"7","n":1}', say("text", "7", "{ id = 7, n = 1 }"))
    assert.equal('{"id":"7","n":1}', say(nil, "7", "{ id = 7, n = 1 }"))
  end)

  it("is refused where it is another", function()
    for _, key in ipairs { "text", false } do
      assert.same({ nil, 'field "id": expected the id of this model, m, or '
        .. "none, got other" }, { say(key, '"m"', '{ id = "other" }') })
      assert.same({ nil, "expected a model id (text or an integer), got "
        .. "boolean" }, { say(key, '"m"', "{ id = true }") })
    end
    assert.same({ nil, 'field "id": expected the id of this model, 7, or '
      .. "none, got 8" }, { say("integer", "7", "{ id = 8.0, n = 1 }") })
    assert.same({ nil, 'a model id must be an integer, got "07"' },
      { say("integer", "7", '{ id = "07" }') })
  end)

  it("may be all that there is", function()
    local script = assert(script_test.load [[
      return { name = "p", version = 1, fields = { id = "integer" },
        extract_model_id = function(event) return event.data.id end,
        apply_to_model = function(model, event, id)
          if event.type ~= "Gone" then
            assert((model == nil) == (event.type == "First"))
            return model or { id = id }
          end
        end }]])
    assert.same({}, script:run {
      { type = "First", data = '{"id":3}' }, { data = '{"id":3}' },
      { type = "First", data = '{"id":4}' },
      { type = "Gone", data = '{"id":4}' },
    })
    assert.same({}, script:run { { data = '{"id":3}' },
      { type = "First", data = '{"id":4}' } })
    assert.equal('{"id":3}', script:get "3")
    assert.equal('{"id":4}', script:get "4")
    local failures = script:run { { data = '{"id":3}', type = "First" } }
    assert.equal(1, #failures)
  end)
end)

describe("a model without fields", function()
  it("is one JSON value", function()
    local script = assert(script_test.load [[
      return { name = "p", version = 1,
        extract_model_id = function(event) return event.data.id end,
        apply_to_model = function(model, event) return event.data.v end }]])
    assert.same({}, script:run {
      { data = '{"id":"a","v":{"b":1,"a":{"c":[]}}}' },
      { data = '{"id":"b","v":[1,2]}' },
      { data = '{"id":"c","v":{}}' },
      { data = '{"id":"d","v":[]}' },
    })
    assert.equal('{"id":"a","a":{"c":[]},"b":1}', script:get "a")
    assert.equal('{"id":"b","model":[1,2]}', script:get "b")
    assert.equal('{"id":"c"}', script:get "c")
    assert.equal('{"id":"d","model":[]}', script:get "d")
  end)
end)

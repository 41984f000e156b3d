local script_test = require "script_test"

local function load(entries, options)
  local script, err = script_test.load(([[return {
    name = "p", version = 1, %s }]]):format(entries), options)
  return assert(script, err and err.message)
end

local counter = [[
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(model, event, id)
    model = model or { n = 0 }
    model.n = model.n + 1
    model.id_seen = id
    return model
  end]]

-- `seen` is the id that the handler got.
local by_number = [[
  fields = { id = "integer", n = "integer", seen = "integer", kind = "text" },
  extract_model_id = function(event) return event.data.id end,
  apply_to_model = function(model, event, id)
    return { n = (model and model.n or 0) + 1, seen = id,
      kind = math.type(id) }
  end]]

local function ids(...)
  local events = {}
  for i, id in ipairs { ... } do
    events[i] = { data = ('{"id":%s}'):format(id) }
  end
  return events
end

local function message(script, events)
  local failure = script:run(events)[1]
  return failure and failure.message
end

describe("extracting model ids", function()
  it("takes text, integers, lists and nil", function()
    local script = load(counter)
    assert.same({}, script:run(
      ids('"a"', "7", '["a","b",9007199254740993]', "[]", "-1")))
    assert.same({}, script:run { { data = "{}" } })
    assert.equal('{"id":"a","id_seen":"a","n":2}', script:get "a")
    assert.equal('{"id":"b","id_seen":"b","n":1}', script:get "b")
    assert.equal('{"id":"7","id_seen":"7","n":1}', script:get "7")
    assert.equal('{"id":"-1","id_seen":"-1","n":1}', script:get "-1")
    assert.is_not_nil(script:get "9007199254740993")
  end)

  it("touches a model once however often a list names it", function()
    local script = load(counter)
    assert.same({}, script:run(ids('["a","b","a",7,"7","a"]', '["a","a"]')))
    assert.equal('{"id":"a","id_seen":"a","n":2}', script:get "a")
    assert.equal('{"id":"b","id_seen":"b","n":1}', script:get "b")
    assert.equal('{"id":"7","id_seen":"7","n":1}', script:get "7")
  end)

  it("manages thousands of models for one event", function()
    local list = {}
    for i = 1, 5000 do
      list[i] = ('"m%d"'):format(i % 4000)
    end
    local script = load(counter)
    assert.same({}, script:run(ids("[" .. table.concat(list, ",") .. "]")))
    assert.equal('{"id":"m999","id_seen":"m999","n":1}', script:get "m999")
  end)

  it("notes nothing of an event that fails", function()
    local script = load(counter)
    local failures = script:run(ids('["a","b",1.5]', '"a"'))
    assert.equal(1, #failures)
    assert.equal("extract", failures[1].phase)
    assert.equal(1, failures[1].event)
    assert.equal('{"id":"a","id_seen":"a","n":1}', script:get "a")
    assert.is_nil(script:get "b")
  end)

  it("goes on after each of several failures", function()
    local script = load(counter)
    local failures =
      script:run(ids('"a"', "true", '"a"', "1.5", "false", '"a"'))
    assert.equal(3, #failures)
    assert.equal(2, failures[1].event)
    assert.equal(4, failures[2].event)
    assert.equal(5, failures[3].event)
    assert.equal('{"id":"a","id_seen":"a","n":3}', script:get "a")
  end)

  it("says what is wrong with an id, and where", function()
    local script = load(counter)
    local where = "script.lua:2: extract_model_id: "
    for id, what in pairs {
      ["true"] = "expected a model id, a list of model ids or nil, "
        .. "got boolean",
      ["1.5"] = "expected a model id (text or an integer), got 1.5",
      ["42.0"] = "expected a model id (text or an integer), got 42.0",
      ["[true]"] = "expected a model id (text or an integer), got boolean",
      ['["a",1e20]'] = "expected a model id (text or an integer), got 1e+20",
      ["[[]]"] = "expected a model id (text or an integer), got table",
      ['{"a":1}'] = "expected a list of model ids, got a table with the key a",
      ['""'] = "a model id must not be empty",
      ['"a\\u0000"'] = "a model id must be UTF-8 text without NUL bytes",
      ['"' .. ("x"):rep(1001) .. '"'] =
        "a model id has 1001 bytes; at most 1000 are allowed",
    } do
      assert.equal(where .. what, message(script, ids(id)))
    end
    script = load [[
      extract_model_id = function() return "\xff" end,
      apply_to_model = type]]
    assert.equal("script.lua:2: extract_model_id: "
      .. "a model id must be UTF-8 text without NUL bytes",
      message(script, { {} }))
  end)

  it("takes null for no model, as it takes nil", function()
    for _, body in ipairs { counter, by_number } do
      local script = load(body)
      assert.same({}, script:run(ids("null", "[]", "[null]", "[null,7,null]",
        "[7,null]")))
      assert.matches('"n":2', script:get "7")
    end
    local script = load [[
      extract_model_id = function(event)
        local lists = { { nil, "b" }, { "a", nil, "b" }, { [7] = "b" },
          { nil, nil }, lunette.null, { lunette.null, "b", nil } }
        return lists[event.data.n]
      end,
      apply_to_model = function(model)
        return { n = (model and model.n or 0) + 1 }
      end]]
    local events = {}
    for n = 1, 6 do
      events[n] = { data = ('{"n":%d}'):format(n) }
    end
    assert.same({}, script:run(events))
    assert.equal('{"id":"b","n":4}', script:get "b")
    assert.equal('{"id":"a","n":1}', script:get "a")
  end)

  it("refuses a list that is no plain table", function()
    for list, what in pairs {
      ['setmetatable({}, { __index = { "a" } })'] =
        "a list of model ids must be a plain table without a metatable",
      ['setmetatable({ "a" }, { __len = function() return 0 end })'] =
        "a list of model ids must be a plain table without a metatable",
      ['{ "a", b = "c" }'] =
        "expected a list of model ids, got a table with the key b",
      ['{ [0] = "a" }'] =
        "expected a list of model ids, got a table with the key 0",
      ['{ [1.5] = "a" }'] =
        "expected a list of model ids, got a table with the key 1.5",
      ["lunette.query 'p'"] =
        "a list of model ids must be a plain table without a metatable",
    } do
      local script = load("extract_model_id = function() return " .. list
        .. " end, apply_to_model = type")
      assert.matches(what, message(script, { {} }), 1, true)
    end
    local script = load [[
      extract_model_id = function() return lunette.array { "a" } end,
      apply_to_model = function() return { n = 1 } end]]
    assert.same({}, script:run { {} })
    assert.equal('{"id":"a","n":1}', script:get "a")
  end)

  it("takes integers for a key that is one", function()
    local script = load(by_number)
    assert.same({}, script:run(ids("7", "7.0", '"7"', "7e0", '[7,"7",7.0,8]',
      "-0.0", "0", "-9223372036854775808", '"-9223372036854775808"',
      "9223372036854775807", "9007199254740993", '"9007199254740993"')))
    for id, n in pairs { ["7"] = 5, ["8"] = 1, ["0"] = 2,
      ["-9223372036854775808"] = 2, ["9223372036854775807"] = 1,
      ["9007199254740993"] = 2 } do
      assert.equal(('{"id":%s,"kind":"integer","n":%d,"seen":%s}'):format(
        id, n, id), script:get(id))
    end
  end)

  it("takes nothing else for a key that is an integer", function()
    local script = load(by_number)
    local where = "script.lua:3: extract_model_id: "
    for id, got in pairs {
      ["1.5"] = "1.5", ["1e300"] = "1e+300", ["-1e19"] = "-1e+19",
      ["9223372036854775808.0"] = "9.2233720368548e+18",
      ['"007"'] = '"007"', ['" 7"'] = '" 7"', ['"7 "'] = '"7 "',
      ['"1e3"'] = '"1e3"', ['"7.0"'] = '"7.0"', ['"-0"'] = '"-0"',
      ['"+7"'] = '"+7"', ['"0x7"'] = '"0x7"', ['""'] = '""', ['"a"'] = '"a"',
      ['"9223372036854775808"'] = '"9223372036854775808"',
      ['[1,"01"]'] = '"01"',
    } do
      assert.equal(where .. "a model id must be an integer, got " .. got,
        message(script, ids(id)))
    end
    for id, got in pairs { ["[true]"] = "boolean", ["[[]]"] = "table" } do
      assert.equal(where .. "expected a model id (an integer), got " .. got,
        message(script, ids(id)))
    end
    for _, id in ipairs { "0/0", "1/0", "2.0^63" } do
      local odd = load('fields = { id = "integer" }, extract_model_id = '
        .. "function() return " .. id .. " end, apply_to_model = type")
      assert.matches("a model id must be an integer, got ",
        message(odd, { {} }))
    end
  end)

  it("passes over events that are not handled", function()
    local script = load([[handles = { "A", "B" }, ]] .. counter)
    assert.same({}, script:run {
      { type = "A", data = '{"id":"a"}' },
      { type = "C", data = '{"id":true}' },
      { type = "B", data = '{"id":"a"}' },
    })
    assert.equal('{"id":"a","id_seen":"a","n":2}', script:get "a")
  end)
end)

describe("applying events", function()
  it("starts with nil and deletes on nil", function()
    local script = load [[
      extract_model_id = function(event) return "m" end,
      apply_to_model = function(model, event)
        if event.type == "Closed" then
          return nil
        end
        assert((model == nil) == (event.type == "Opened"))
        return { type = event.type }
      end]]
    assert.same({}, script:run {
      { type = "Opened" }, { type = "Changed" }, { type = "Closed" },
      { type = "Opened" }, { type = "Changed" },
    })
    assert.equal('{"id":"m","type":"Changed"}', script:get "m")
    assert.same({}, script:run { { type = "Closed" } })
    assert.is_nil(script:get "m")
    assert.same({}, script:run { { type = "Closed" }, { type = "Opened" } })
    assert.equal('{"id":"m","type":"Opened"}', script:get "m")
  end)

  it("calls the function of the event's type", function()
    local script = load [[
      extract_model_id = function(event) return "m" end,
      on = {
        Added = function(model, event, id)
          return { n = (model and model.n or 0) + event.data.n, id2 = id }
        end,
        Reset = function() return { n = 0 } end,
      }]]
    assert.same({}, script:run {
      { type = "Added", data = '{"n":5}' },
      { type = "Reset" },
      { type = "Other", data = "[]" },
      { type = "Added", data = '{"n":2}' },
    })
    assert.equal('{"id":"m","id2":"m","n":2}', script:get "m")
    assert.matches("^script.lua:4: on: expected the model",
      message(load [[
        extract_model_id = function(event) return "m" end,
        on = {
          A = function() return 5 end }]], { { type = "A" } }))
  end)

  it("brings the last good model back when a handler fails", function()
    local script = load [[
      extract_model_id = function(event) return "m" end,
      apply_to_model = function(model, event)
        model = model or { n = 0, list = {} }
        model.n = model.n + 1
        model.list[#model.list + 1] = model.n
        if event.data.bad then
          model.n = 1000
          error "bad"
        end
        return model
      end]]
    local failures = script:run {
      {}, {}, { data = '{"bad":1}' }, {}, { data = '{"bad":1}' },
    }
    assert.equal(2, #failures)
    assert.equal(3, failures[1].event)
    assert.equal(5, failures[2].event)
    assert.equal('{"id":"m","list":[1,2,3],"n":3}', script:get "m")
  end)

  it("also when what it returned was no good model", function()
    local script = load [[
      fields = { n = "integer" },
      extract_model_id = function(event) return "m" end,
      apply_to_model = function(model, event)
        model = model or { n = 0 }
        model.n = model.n + event.data.add
        return model
      end]]
    local failures = script:run {
      { data = '{"add":1}' }, { data = '{"add":0.5}' },
      { data = '{"add":1}' },
    }
    assert.equal(1, #failures)
    assert.equal('script.lua:4: apply_to_model: field "n": 1.5 is not a '
      .. "whole number", failures[1].message)
    assert.equal('{"id":"m","n":2}', script:get "m")
  end)

  it("goes on with the other ids of a failed event", function()
    local script = load [[
      extract_model_id = function(event) return { "a", "b", "c" } end,
      apply_to_model = function(model, event, id)
        if id == "b" then error "not b" end
        return { done = true }
      end]]
    local failures = script:run { {} }
    assert.equal(1, #failures)
    assert.equal("apply", failures[1].phase)
    assert.is_not_nil(script:get "a")
    assert.is_nil(script:get "b")
    assert.is_not_nil(script:get "c")
  end)

  it("stops at a model that has parked events", function()
    local script = load(counter)
    script:park "b"
    local failures = script:run(ids('"a"', '"b"', '"a"', '["a","b"]'))
    assert.equal(2, #failures)
    assert.equal("again", failures[1].code)
    assert.equal(2, failures[1].event)
    assert.equal(4, failures[2].event)
    assert.equal('{"id":"a","id_seen":"a","n":3}', script:get "a")
  end)

  it("refuses what is no model", function()
    for value, what in pairs {
      ["5"] = "expected the model (a table) or nil, got a number",
      ["true"] = "expected the model (a table) or nil, got a boolean",
      ["setmetatable({}, {})"] =
        "a model must be a plain table without a metatable",
      ["lunette.null"] = "expected the model (a table) or nil, got null",
      ["{ list = setmetatable({}, { __index = { 1 } }) }"] =
        "list: a table with a metatable cannot be stored",
      ["{ deep = { setmetatable({}, {}) } }"] =
        "deep[1]: a table with a metatable cannot be stored",
      ["{ 1, nil, 3 }"] = "an array must have the keys 1 to n without holes",
      ["{ f = type }"] = "f: a function cannot be stored",
      ["{ x = 0/0 }"] = "x: nan cannot be stored",
    } do
      local script = load(([[
        extract_model_id = function(event) return "m" end,
        apply_to_model = function() return %s end]]):format(value))
      assert.equal("script.lua:3: apply_to_model: " .. what,
        message(script, { {} }))
    end
  end)

  it("may return the event's data as the model", function()
    local script = load [[
      extract_model_id = function(event) return "m" end,
      apply_to_model = function(model, event) return event.data end]]
    assert.same({}, script:run {
      { data = '{"b":[{}],"a":null}' }, { data = '{"b":[{}],"a":null}' },
    })
    assert.equal('{"id":"m","a":null,"b":[{}]}', script:get "m")
  end)
end)

-- The same models in every batch size, from the cache or from the store.
describe("a result does not depend on where batches end", function()
  local function models(entries, events, size, cache)
    local script = load(entries, { cache = cache })
    assert.same({}, script:run(events, size))
    local all = {}
    for i = 0, 3 do
      all[i] = script:get("m" .. i) or "none"
    end
    return all
  end

  local function same_in_all_sizes(entries, count)
    local events = {}
    for i = 1, count or 24 do
      events[i] = {
        data = ('{"id":"m%d","n":%d,"f":%d.0,"s":"t%d","o":{"x":[%d]}}')
          :format(i % 4, i, i, i, i),
        recorded_at = i * 1000000,
      }
    end
    local one = models(entries, events, 1, 0)
    for _, size in ipairs { 2, 3, 5, 100 } do
      assert.same(one, models(entries, events, size, 0))
      assert.same(one, models(entries, events, size, 1 << 20))
    end
    return one
  end

  local extract = "extract_model_id = function(e) return e.data.id end,"

  it("with typed fields", function()
    same_in_all_sizes(extract .. [[
      fields = { n = "integer", f = "number", s = "text", at = "timestamp",
        o = "json", seen = "boolean" },
      apply_to_model = function(model, event)
        model = model or { n = 0, f = 0, seen = false }
        model.s = (model.s or "") .. math.type(model.n) .. math.type(model.f)
        model.n = model.n + event.data.f
        model.f = model.f + event.data.n
        model.at = event.recorded_at % 2000000 == 0 and event.recorded_at
          or lunette.format_timestamp(event.recorded_at)
        model.o = event.data.o
        model.seen = not model.seen
        if event.data.n == 7 then model.s = lunette.null end
        return model
      end]])
  end)

  it("with lists that two fields share", function()
    same_in_all_sizes(extract .. [[
      fields = { first = "json", last = "json" },
      apply_to_model = function(model, event)
        model = model or { first = { n = 0 } }
        if not model.last or event.data.n % 3 == 0 then
          model.last = model.first
        end
        model.last.n = model.last.n + event.data.n
        return model
      end]])
  end)

  it("with whole models, nested or flat", function()
    same_in_all_sizes(extract .. [[
      apply_to_model = function(model, event)
        model = model or { list = {}, n = 0 }
        model.n = model.n + 1
        model.list[#model.list + 1] = event.data.o
        model.shared = model.list
        return model
      end]])
    same_in_all_sizes(extract .. [[
      apply_to_model = function(model, event)
        model = model or { n = 0 }
        model.n = model.n + event.data.f
        model[event.data.s] = true
        return model
      end]])
  end)

  it("with a table that all models start as", function()
    local script = script_test.load [[
      local start = { n = 0 }
      return { name = "p", version = 1,
        extract_model_id = function(e) return e.data.id end,
        apply_to_model = function(model, event)
          if not model then return start end
          model.n = model.n + event.data.n
          return model
        end }]]
    assert.same({}, script:run {
      { data = '{"id":"a","n":0}' }, { data = '{"id":"b","n":0}' },
      { data = '{"id":"a","n":5}' }, { data = '{"id":"b","n":7}' },
    })
    assert.equal('{"id":"a","n":5}', script:get "a")
    assert.equal('{"id":"b","n":7}', script:get "b")
  end)

  it("with more models than are kept as tables", function()
    local script = script_test.load [[
      return { name = "p", version = 1, fields = { n = "integer" },
        extract_model_id = function(e) return e.data.id end,
        apply_to_model = function(model, event)
          model = model or { n = 0 }
          model.n = 3 * model.n + event.data.n
          return model
        end }]]
    local events = {}
    for i = 0, 8999 do
      events[i + 1] = { data = ('{"id":"m%d","n":%d}'):format(i % 3000, i) }
    end
    assert.same({}, script:run(events))
    for i = 0, 2999 do
      assert.equal(('{"id":"m%d","n":%d}'):format(i, 13 * i + 15000),
        script:get("m" .. i))
    end
  end)

  it("with models that come and go", function()
    same_in_all_sizes(extract .. [[
      apply_to_model = function(model, event)
        if model and event.data.n % 3 == 0 then return nil end
        return { n = (model and model.n or 0) + 1 }
      end]], 50)
  end)
end)

local helper = require "spec.helper"
local script_test = require "script_test"

local good = {
  name = '"p"',
  version = "1",
  extract_model_id = "function(event) end",
  apply_to_model = "function(model, event) return model end",
}

-- A script from the good one with changes; false leaves an entry out.
local function load(changes)
  local lines = {}
  local all = {}
  for key, text in pairs(good) do
    all[key] = text
  end
  for key, text in pairs(changes or {}) do
    all[key] = text or nil
  end
  for key, text in pairs(all) do
    lines[#lines + 1] = ("  [%q] = %s,"):format(key, text)
  end
  return script_test.load("return {\n" .. table.concat(lines, "\n") .. "\n}",
    { chunk = "accounts.lua" })
end

local function refused(changes)
  local script, err = load(changes)
  assert.is_nil(script)
  assert.equal("script", err.code)
  return err.message:match "^accounts%.lua: (.*)$"
    or err.message:match "^accounts%.lua:%d+: (.*)$"
end

describe("a script", function()
  it("is described by its table", function()
    local script = load {
      version = "3",
      handles = '{ "B", "A" }',
      fields = '{ owner = "text", balance = "integer", Open = "boolean" }',
      indexes = '{ "balance", { "owner", "balance" } }',
      handle_query = "function(store, query) end",
      migrate = "function(model, from) end",
      on_error = '"park"',
      retries = "7",
    }
    local about = script:describe()
    assert.matches("^%x+$", about.hash)
    assert.equal(32, #about.hash)
    about.hash = nil
    assert.same({
      name = "p",
      version = 3,
      types = { "A", "B" },
      fields = { "Open boolean", "balance integer", "owner text" },
      columns = { "Open", "balance", "owner" },
      id = "text",
      indexes = { { "balance" }, { "owner", "balance" } },
      whole_json = false,
      has_query = true,
      on_error = "park",
      retries = 7,
    }, about)
  end)

  it("has modest defaults", function()
    local about = load():describe()
    about.hash = nil
    assert.same({
      name = "p",
      version = 1,
      types = {},
      fields = { "model json" },
      columns = { "model" },
      id = "text",
      indexes = {},
      whole_json = true,
      has_query = false,
      on_error = "stop",
      retries = 0,
    }, about)
  end)

  local function columns(fields)
    local about = load { fields = fields }:describe()
    return about.id .. ": " .. table.concat(about.columns, " ")
  end

  it("says whether its key is text or an integer", function()
    assert.equal("integer: n", columns '{ n = "text", id = "integer" }')
    assert.equal("text: n", columns '{ n = "text", id = "text" }')
    assert.equal("integer: n m",
      columns '{ { "n", "text" }, { "id", "integer" }, { "m", "json" } }')
    assert.equal("integer: ", columns '{ id = "integer" }')
    assert.equal("text: ", columns '{ { "id", "text" } }')
    assert.is_false(load { fields = '{ id = "integer" }' }:describe()
      .whole_json)
  end)

  it("has its columns in the order of a list, else by name", function()
    assert.equal("text: c a b",
      columns '{ { "c", "text" }, { "a", "json" }, { "b", "integer" } }')
    assert.equal("text: a b c",
      columns '{ { "a", "text" }, { "b", "json" }, { "c", "integer" } }')
    assert.equal("text: a b c",
      columns '{ c = "text", a = "json", b = "integer" }')
    assert.same({ { "b" } }, load {
      fields = '{ { "c", "text" }, { "b", "text" } }',
      indexes = '{ "b" }',
    }:describe().indexes)
  end)

  it("handles the types that `on` has functions for, in order", function()
    local script = load {
      apply_to_model = false,
      on = "{ C = print_, A = print_, B = print_ }",
    }
    assert.is_nil(script)
    script = load {
      apply_to_model = false,
      on = "{ C = function() end, A = function() end, B = function() end }",
    }
    assert.same({ "A", "B", "C" }, script:describe().types)
  end)

  it("has a hash that follows its text", function()
    local a, b = load(), load()
    assert.equal(#a:describe().hash, #b:describe().hash)
    local one = script_test.load(
      "return { name = 'p', version = 1, extract_model_id = type, "
      .. "apply_to_model = type }"):describe().hash
    local two = script_test.load(
      "return { name = 'p', version = 2, extract_model_id = type, "
      .. "apply_to_model = type }"):describe().hash
    assert.not_equal(one, two)
    assert.equal(one, script_test.load(
      "return { name = 'p', version = 1, extract_model_id = type, "
      .. "apply_to_model = type }"):describe().hash)
  end)

  it("is bundled as a document with its text", function()
    local text = "-- \"Konto\"\tä\nreturn { name = 'p', version = 1, "
      .. "extract_model_id = type, apply_to_model = type }"
    assert.equal('{"format":1,"script":"-- \\"Konto\\"\\tä\\n'
      .. text:match("\n(.*)") .. '"}', script_test.load(text):bundle())
  end)

  it("is refused in another encoding than UTF-8", function()
    local script, err = script_test.load("-- f\xfcr\nreturn { name = 'p', "
      .. "version = 1, extract_model_id = type, apply_to_model = type }",
      { chunk = "accounts.lua" })
    assert.is_nil(script)
    assert.equal("script", err.code)
    assert.equal("accounts.lua: is not UTF-8: save the text in that encoding",
      err.message)
  end)

  it("is loaded from a file", function()
    local path = helper.tmpdir() .. "/p.lua"
    helper.write_file(path, "return { name = 'filed', version = 1, "
      .. "extract_model_id = type, apply_to_model = type }")
    assert.equal("filed", script_test.load_file(path))
    helper.write_file(path, "return {")
    local _, err = script_test.load_file(path)
    assert.equal("script", err.code)
    assert.equal(1, (err.message:find("p.lua:1: ", 1, true) or 0) > 0 and 1)
    _, err = script_test.load_file(path .. "x")
    assert.equal("not_found", err.code)
    assert.equal(path .. "x: No such file or directory", err.message)
    _, err = script_test.load_file(helper.tmpdir())
    assert.equal("config", err.code)
    assert.matches(": is a folder: a regular file is expected$", err.message)
  end)

  it("is refused where it is no regular file, without waiting", function()
    local path = helper.tmpdir() .. "/pipe.lua"
    assert.equal(0, (helper.run { "mkfifo", path }))
    local _, err = script_test.load_file(path)
    assert.equal("config", err.code)
    assert.equal(path .. ": is a FIFO: a regular file is expected",
      err.message)
    _, err = script_test.load_file "/dev/zero"
    assert.equal("/dev/zero: is a device: a regular file is expected",
      err.message)
    local socket = helper.tmpdir() .. "/socket.lua"
    assert.equal(0, (helper.run { "python3", "-c", "import socket, sys; "
      .. "socket.socket(socket.AF_UNIX).bind(sys.argv[1])", socket }))
    _, err = script_test.load_file(socket)
    assert.equal(socket .. ": is a socket: a regular file is expected",
      err.message)
    _, err = script_test.settings(path)
    assert.equal(path .. ": is a FIFO: a regular file is expected",
      err.message)
  end)
end)

describe("a broken script", function()
  it("is refused with its line", function()
    local script, err = script_test.load("return {\n  name = = 1\n}")
    assert.is_nil(script)
    assert.equal("script", err.code)
    assert.equal("script.lua:2: unexpected symbol near '='", err.message)
    script, err = script_test.load("\nerror 'no'")
    assert.is_nil(script)
    assert.equal("script.lua:2: no", err.message)
    assert.matches("script.lua:2: in main chunk", err.detail)
  end)

  it("is refused when it returns no table", function()
    for source, what in pairs {
      [""] = "got nothing",
      ["\nreturn 5"] = "got a number",
      ["return 'x'"] = "got text",
      ["return function() end"] = "got a function",
    } do
      local _, err = script_test.load(source)
      assert.equal("script.lua: the script must return a table that describes "
        .. "the projection, " .. what, err.message)
    end
    assert.equal("the script must return one table with named fields, such "
      .. "as name and version",
      select(2, script_test.load "return { 1 }").message
        :match "^script%.lua: (.*)$")
    assert.equal("script.lua: the table that the script returns: must be a "
      .. "plain table without a metatable", select(2, script_test.load
      "return setmetatable({}, { __index = string })").message)
  end)

  it("is told path and field, and the line of a function", function()
    for entry, message in pairs {
      ["retries = -1"] = ": retries: expected a whole number from 0 to 100, "
        .. "got -1",
      ["retries = function() end"] = ": retries: expected a whole number, got "
        .. "a function",
      ["extractor = 1"] = ": extractor: unknown field",
      ["extractor = function() end"] = ":3: extractor: unknown field",
      ["extractor = type"] = ": extractor: unknown field",
      ["on = { A = type }, apply_to_model = function() end"] =
        ":3: apply_to_model: leave it out, or leave out \"on\": one of the two "
        .. "applies events",
      ["on = { [\"\"] =\nfunction() end }"] =
        ":4: on: an event type is empty",
    } do
      local _, err = script_test.load("return { name = 'p', version = 1,\n"
        .. "extract_model_id = type, apply_to_model = type,\n" .. entry .. " }")
      assert.equal("script.lua" .. message, err.message)
    end
  end)

  local cases = {
    { { name = false }, "name: expected text, got nothing" },
    { { name = "5" }, "name: expected text, got a number" },
    { { name = '"Big"' }, 'name: projection name "Big" must begin with a '
      .. 'letter a-z, then only a-z, 0-9 and single "_"' },
    { { version = false }, "version: expected a whole number, got nothing" },
    { { version = '"1"' }, "version: expected a whole number, got text" },
    { { version = "0" },
      "version: expected a whole number from 1 to 2147483647, got 0" },
    { { version = "1.5" },
      "version: expected a whole number from 1 to 2147483647, got 1.5" },
    { { handles = '"A"' },
      "handles: expected a list of event types, got text" },
    { { handles = "{ a = 1 }" }, "handles: expected a list of event types" },
    { { handles = "{}" },
      "handles: is empty; leave it out to handle every type" },
    { { handles = '{ "A", 5 }' },
      "handles[2]: expected text, got a number" },
    { { handles = '{ "" }' }, "handles[1]: is empty" },
    { { handles = '{ "A", "a\\0b" }' }, "handles[2]: has a NUL byte" },
    { { handles = '{ "\\xff" }' }, "handles[1]: is not UTF-8" },
    { { handles = '{ "A", "B", "A" }' }, 'handles[3]: "A" is there twice' },
    { { fields = "5" }, "fields: expected a table, got a number" },
    { { fields = "{}" }, "fields: there are no fields; leave them out "
      .. "altogether to keep each model as one json value" },
    { { fields = '{ [true] = "text" }' }, "fields: expected a table of types "
      .. 'by field name, such as { balance = "integer" }' },
    { { fields = '{ "balance" }' }, "fields[1]: expected a name and a type, "
      .. 'such as { "balance", "integer" }, got text' },
    { { fields = '{ { "a", "text" }, { "b" } }' }, "fields[2]: expected a name "
      .. 'and a type, such as { "balance", "integer" }, got a table' },
    { { fields = '{ { 5, "text" } }' },
      "fields[1]: expected a field name, got a number" },
    { { fields = '{ { "a", 5 } }' },
      "fields.a: expected a type, got a number" },
    { { fields = '{ { "a", "int" } }' }, 'fields.a: unknown type "int"; there '
      .. "are text, integer, number, boolean, timestamp and json" },
    { { fields = '{ { "a", "text" }, { "b", "text" }, { "a", "json" } }' },
      'fields: "a" is there twice' },
    { { fields = '{ { "id", "text" }, { "id", "text" } }' },
      'fields: "id" is there twice' },
    { { fields = '{ { "a", "text" }, b = "text" }' }, "fields: write all of "
      .. 'them as name = "type", or all in a list as { "name", "type" }' },
    { { fields = "{ x = 5 }" }, "fields.x: expected a type, got a number" },
    { { fields = '{ x = "int" }' }, 'fields.x: unknown type "int"; there '
      .. "are text, integer, number, boolean, timestamp and json" },
    { { fields = '{ id = "json" }' },
      'fields.id: an id is of type text or integer, not "json"' },
    { { fields = '{ id = "int" }' },
      'fields.id: an id is of type text or integer, not "int"' },
    { { fields = "{ id = 5 }" }, "fields.id: expected a type, got a number" },
    { { fields = '{ ID = "text" }' }, 'fields: field name "ID" is reserved '
      .. "by a model store; choose another" },
    { { fields = '{ id = "text" }', indexes = '{ "id" }' },
      'indexes[1]: "id" has an index of its own' },
    { { fields = '{ ["a b"] = "text" }' }, 'fields: field name "a b" must '
      .. 'begin with a letter or "_", then only letters, digits and "_"' },
    { { fields = '{ A = "text", a = "text" }' },
      'fields: fields "A" and "a" differ only in case' },
    { { indexes = '{ "x" }' },
      'indexes: declare the fields they are for in "fields"' },
    { { fields = '{ a = "text" }', indexes = '"a"' },
      "indexes: expected a list of field names" },
    { { fields = '{ owner = "text" }', indexes = '{ "ownr" }' },
      'indexes[1]: unknown field "ownr"; did you mean "owner"?' },
    { { fields = '{ owner = "text" }', indexes = '{ "owner", "zzz" }' },
      'indexes[2]: unknown field "zzz"' },
    { { fields = '{ owner = "text" }', indexes = "{ 5 }" },
      "indexes[1]: expected a field name or a list of them, got a number" },
    { { fields = '{ owner = "text" }', indexes = "{ {} }" },
      "indexes[1]: expected a field name or a list of them" },
    { { fields = '{ tags = "json" }', indexes = '{ "tags" }' },
      'indexes[1]: field "tags" is of type json and cannot be indexed' },
    { { fields = '{ a = "text" }', indexes = '{ { "a", "a" } }' },
      'indexes: index 1 names field "a" twice' },
    { { extract_model_id = false },
      "extract_model_id: expected a function, got nothing" },
    { { extract_model_id = '"x"' },
      "extract_model_id: expected a function, got text" },
    { { apply_to_model = false }, "apply_to_model: expected a function (or "
      .. 'a table "on" of functions by event type), got nothing' },
    { { apply_to_model = "5" },
      "apply_to_model: expected a function, got a number" },
    { { on = "{ A = function() end }" }, "apply_to_model: leave it out, or "
      .. 'leave out "on": one of the two applies events' },
    { { apply_to_model = false, on = "5" },
      "on: expected a table of functions by event type, got a number" },
    { { apply_to_model = false, on = "{}" },
      "on: is empty: no event would be handled" },
    { { apply_to_model = false, on = "{ A = 5 }" },
      "on.A: expected a function, got a number" },
    { { apply_to_model = false, on = "{ function() end }" },
      "on: expected event types as keys, got a number" },
    { { apply_to_model = false, on = "{ A = type }", handles = '{ "A" }' },
      'handles: leave it out: the keys of "on" say which types are handled' },
    { { handle_query = "5" },
      "handle_query: expected a function, got a number" },
    { { migrate = "5" }, "migrate: expected a function, got a number" },
    { { on_error = '"prak"' },
      'on_error: expected "stop", "skip" or "park", got "prak"' },
    { { on_error = "5" },
      'on_error: expected "stop", "skip" or "park", got a number' },
    { { retries = "-1" },
      "retries: expected a whole number from 0 to 100, got -1" },
    { { retries = "101" },
      "retries: expected a whole number from 0 to 100, got 101" },
    { { extract_model = "type" },
      'extract_model: unknown field; did you mean "extract_model_id"?' },
    { { handels = '{ "A" }' },
      'handels: unknown field; did you mean "handles"?' },
    { { whatever = "1" }, "whatever: unknown field" },
    { { handles = 'setmetatable({ "A" }, {})' },
      "handles: must be a plain table without a metatable" },
    { { fields = 'setmetatable({ a = "text" }, { __index = string })' },
      "fields: must be a plain table without a metatable" },
    { { apply_to_model = false, on = "setmetatable({ A = type }, {})" },
      "on: must be a plain table without a metatable" },
  }
  for _, case in ipairs(cases) do
    it("is told " .. case[2], function()
      assert.equal(case[2], refused(case[1]))
    end)
  end

  it("is told when there is too much of something", function()
    local fields, types, indexes = {}, {}, {}
    for i = 1, 101 do
      fields[i] = ('f%d = "text"'):format(i)
      indexes[i] = '"f1"'
    end
    for i = 1, 1001 do
      types[i] = ('"T%d"'):format(i)
    end
    local list = "{ " .. table.concat(fields, ", ") .. " }"
    assert.equal("fields: 101 fields; at most 100 are allowed",
      refused { fields = list })
    assert.equal("handles: has more than 1000 types",
      refused { handles = "{ " .. table.concat(types, ", ") .. " }" })
    assert.equal("indexes: more than 20", refused {
      fields = '{ f1 = "text" }',
      indexes = "{ " .. table.concat(indexes, ", ") .. " }",
    })
    local script, err = script_test.load(("-"):rep((4 << 20) + 1))
    assert.is_nil(script)
    assert.equal("script.lua: has more than 4194304 bytes: not a script",
      err.message)
  end)
end)

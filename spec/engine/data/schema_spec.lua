require "spec.helper"
local schema = require "schema_test"

local function refuses(check, name, why)
  local ok, message, code = check(name)
  assert.is_nil(ok, "took " .. name)
  assert.equal("invalid", code)
  assert.truthy(message:find(why, 1, true), message)
  assert.truthy(message:find(name:sub(1, 40), 1, true), message)
end

describe("a projection name", function()
  local check = schema.check_projection_name

  it("is lower case letters, digits and single underscores", function()
    for _, name in ipairs {
      "a", "account_summary", "a1_2", "x_", ("a"):rep(40),
    } do
      assert.is_true((check(name)))
    end
    for _, name in ipairs {
      "1a", "_a", "Accounts", "a-b", "a b", "ä", "a.b", 'a"b',
    } do
      refuses(check, name, "must begin with a letter a-z")
    end
    refuses(check, "a__b", 'single "_"')
  end)

  it("has 1 to 40 bytes", function()
    refuses(check, ("a"):rep(41), "at most 40")
    refuses(check, "", "empty")
  end)

  it("may not look like one of the engine's tables", function()
    refuses(check, "lunette_checkpoints", '"lunette_" are taken')
    refuses(check, "sqlite_stat", '"sqlite_" are taken')
    assert.is_true((check "lunette"))
  end)
end)

describe("a field name", function()
  local check = schema.check_field_name

  it("is letters, digits and underscores", function()
    for _, name in ipairs {
      "a", "A1", "_x", "a__b", "order", "select", ("a"):rep(40),
    } do
      assert.is_true((check(name)))
    end
    for _, name in ipairs { "1a", "a-b", "a b", "é", 'a"b' } do
      refuses(check, name, "must begin with a letter or")
    end
    refuses(check, ("a"):rep(41), "at most 40")
    refuses(check, "", "empty")
  end)

  it("is none that some store reserves, in whatever case", function()
    for _, name in ipairs {
      "id", "ID", "rowid", "RowId", "oid", "_rowid_", "tableoid", "xmin",
      "cmin", "xmax", "cmax", "CTID",
    } do
      refuses(check, name, "reserved")
    end
  end)
end)

describe("checking a schema", function()
  local function refuses_schema(given, why)
    given.indexes = given.indexes or {}
    local ok, message = schema.check(given)
    assert.is_nil(ok)
    assert.truthy(message:find(why, 1, true), message)
  end

  it("takes fields in order and indexes on them", function()
    assert.is_true((schema.check {
      fields = { "Owner", "balance", "note" },
      indexes = { { 1 }, { 2, 1 }, { 1, 2 } },
    }))
  end)

  it("refuses names that differ only in case", function()
    refuses_schema({ fields = { "Owner", "note", "owner" } },
      'fields "Owner" and "owner" differ only in case')
  end)

  it("refuses fields out of order or twice", function()
    refuses_schema({ fields = { "b", "a" } }, 'field "a" is out of order')
    refuses_schema({ fields = { "a", "a" } }, "differ only in case")
  end)

  it("refuses too many fields and indexes", function()
    local names, indexes = {}, {}
    for i = 1, 101 do
      names[i] = ("f%03d"):format(i)
      indexes[i] = { i }
    end
    refuses_schema({ fields = names }, "101 fields; at most 100")
    names[101] = nil
    assert.is_true((schema.check { fields = names, indexes = {} }))
    indexes = table.move(indexes, 1, 21, 1, {})
    refuses_schema({ fields = names, indexes = indexes },
      "21 indexes; at most 20")
  end)

  it("refuses an index that is empty, double or repeats a field", function()
    local names = { "a", "b" }
    refuses_schema({ fields = names, indexes = { {} } },
      "index 1 has 0 fields")
    refuses_schema({ fields = names, indexes = { { 1 }, { 1 } } },
      "indexes 1 and 2 are the same")
    refuses_schema({ fields = names, indexes = { { 1, 1 } } },
      'index 1 names field "a" twice')
    refuses_schema({ fields = names, indexes = { { 3 } } }, "does not exist")
  end)

  it("refuses an index on a whole model", function()
    refuses_schema(
      { fields = { "model" }, indexes = { { 1 } }, whole_json = true },
      "needs a declared field")
  end)
end)

describe("the text of a schema", function()
  local text = table.concat({
    "field balance integer",
    "field changed timestamp",
    "field data json",
    "field open boolean",
    "field owner text",
    "field rate number",
    "index balance",
    "index owner balance",
    "",
  }, "\n")

  it("comes back as it was", function()
    local parsed = assert(schema.parse("accounts", 3, text))
    assert.equal(text, parsed.text)
    assert.equal("accounts", parsed.projection)
    assert.equal(3, parsed.version)
    assert.is_false(parsed.whole_json)
    assert.same({
      balance = "integer",
      changed = "timestamp",
      data = "json",
      open = "boolean",
      owner = "text",
      rate = "number",
    }, parsed.fields)
  end)

  it("is the same in whatever order the indexes were declared", function()
    local fields = "field a text\nfield b text\n"
    local one = schema.parse("p", 1, fields .. "index b\nindex a b\nindex a\n")
    local two = schema.parse("p", 1, fields .. "index a\nindex b\nindex a b\n")
    assert.equal(fields .. "index a\nindex a b\nindex b\n", one.text)
    assert.equal(one.text, two.text)
  end)

  it("tells a whole model from a field that is called model", function()
    local whole = assert(schema.parse("p", 1, "whole_json\n"))
    assert.is_true(whole.whole_json)
    assert.same({ model = "json" }, whole.fields)
    assert.equal("whole_json\n", whole.text)
    local declared = assert(schema.parse("p", 1, "field model json\n"))
    assert.is_false(declared.whole_json)
    assert.equal("field model json\n", declared.text)
  end)

  it("says so where the key is an integer", function()
    local one = assert(schema.parse("p", 1, "key integer\nfield a text\n"))
    assert.equal("integer", one.key)
    assert.equal("key integer\nfield a text\n", one.text)
    local other = assert(schema.parse("p", 1, "field a text\n"))
    assert.equal("text", other.key)
    assert.equal("field a text\n",
      assert(schema.parse("p", 1, "key text\nfield a text\n")).text)
  end)

  it("may have a key and no field", function()
    for _, bare in ipairs { "key integer\n", 'key text\nhandles "A"\n' } do
      local parsed = assert(schema.parse("p", 1, bare))
      assert.same({}, parsed.fields)
      assert.is_false(parsed.whole_json)
      assert.equal(bare, parsed.text)
    end
  end)

  it("ends with the order of the columns, which is no part of it", function()
    local fields = "field a text\nfield b text\nfield c text\n"
      .. 'handles "\\norder c"\n'
    local ordered = assert(schema.parse("p", 1, fields .. "order c a b\n"))
    assert.same({ "c", "a", "b" }, ordered.columns)
    assert.equal(fields .. "order c a b\n", ordered.text)
    assert.is_true(schema.agree(fields, ordered.text))
    assert.same({ "a", "b", "c" },
      assert(schema.parse("p", 1, fields)).columns)
  end)

  it("has indexes that are no part of what it builds", function()
    local plain = 'field a text\nfield b text\nhandles "A"\norder b a\n'
    local one = 'field a text\nfield b text\nindex a\nhandles "A"\n'
    local two = "field a text\nfield b text\nindex a b\nindex b\n"
    assert.is_true(schema.agree(plain, one))
    assert.is_false(schema.agree(one, two))
    assert.is_false(schema.agree(plain, ""))
    assert.is_false(schema.agree("", plain))
    assert.equal('field a text\nfield b text\nindex a b\nindex b\n'
      .. 'handles "A"\norder b a\n', schema.take_indexes(plain, two))
    assert.equal("field a text\nfield b text\nindex a\n",
      schema.take_indexes(two, one))
    assert.equal('field a text\nfield b text\nhandles "A"\n',
      schema.take_indexes(one, plain))
  end)

  it("names the line that makes no sense", function()
    for bad, line in pairs {
      ["field a text\nfield b colour\n"] = 'line 2, "field b colour"',
      ["column a\n"] = 'line 1, "column a"',
      ["field a text\nindex b\n"] = 'line 2, "index b"',
      ["whole_json\nfield a text\n"] = "line 2",
      ["field a text\nwhole_json\n"] = "line 2",
      ["field a  text\n"] = "line 1",
      ["field\n"] = "line 1",
      ["\n"] = "line 1",
      ["field a text\nindex a a a a a a a a a\n"] = "line 2",
      ["field " .. ("x"):rep(50) .. " text\n"] = "line 1",
      ["key colour\n"] = "line 1",
      ["field a text\nkey integer\n"] = "line 2",
      ["field a text\norder\n"] = "line 2",
      ["field a text\norder b\n"] = "line 2",
      ["field a text\norder a a\n"] = "line 2",
      ["field a text\norder a\norder a\n"] = "line 3",
      ["field a text\norder a\nfield b text\n"] = "line 3",
    } do
      local parsed, message, code = schema.parse("p", 1, bad)
      assert.is_nil(parsed)
      assert.equal("invalid", code)
      assert.truthy(message:find("schema of p: " .. line, 1, true), message)
    end
  end)

  it("is checked as a schema made by hand is", function()
    for bad, why in pairs {
      [""] = "no fields",
      ["field b text\nfield a text\n"] = "out of order",
      ["field id text\n"] = "reserved",
      ["key json\nfield a text\n"] = "the id is text or an integer",
      ["field a text\nfield b text\norder a a\n"] = "each of them once",
      ["field a text\nindex\n"] = "index 1 has 0 fields",
    } do
      local _, message = schema.parse("p", 1, bad)
      assert.truthy(message:find(why, 1, true), message)
    end
  end)

  it("holds no more fields and indexes than a schema may have", function()
    local lines = {}
    for i = 1, 101 do
      lines[i] = ("field f%03d text\n"):format(i)
    end
    local _, message = schema.parse("p", 1, table.concat(lines))
    assert.truthy(message:find("line 101", 1, true), message)
    local _, other = schema.parse("p", 1,
      "field a text\n" .. ("index a\n"):rep(21))
    assert.truthy(other:find("line 22", 1, true), other)
  end)
end)

describe("finding a field", function()
  it("gives its place, or nothing", function()
    local text = "field a text\nfield c text\nfield e text\n"
    for place, name in ipairs { "a", "c", "e" } do
      assert.equal(place, schema.find(text, name))
    end
    for _, name in ipairs { "", "b", "A", "ee", "a\0" } do
      assert.is_nil(schema.find(text, name))
    end
  end)
end)

describe("an integer key", function()
  it("has one form in bytes, and no other text is one", function()
    for text, integer in pairs {
      ["0"] = 0, ["7"] = 7, ["-7"] = -7, ["10"] = 10,
      ["9007199254740993"] = 9007199254740993,
      ["9223372036854775807"] = math.maxinteger,
      ["-9223372036854775808"] = math.mininteger,
    } do
      assert.equal(integer, schema.id(text))
    end
    for _, text in ipairs {
      "", "-", "-0", "+7", "007", "00", "-07", " 7", "7 ", "7.0", "1e3", "0x7",
      "7a", "a", "9223372036854775808", "-9223372036854775809", "7\0",
      "18446744073709551617", "99999999999999999999", "-99999999999999999999",
    } do
      assert.is_nil(schema.id(text), text)
    end
  end)

  it("sorts by number, where a text sorts by bytes", function()
    local ids = { "-9223372036854775808", "-10", "-9", "-1", "0", "1", "9",
      "10", "99", "100", "9223372036854775807" }
    for i, a in ipairs(ids) do
      for j, b in ipairs(ids) do
        local order = i < j and -1 or i > j and 1 or 0
        assert.equal(order, schema.compare_ids("integer", a, b))
      end
    end
    assert.equal(1, schema.compare_ids("text", "9", "10"))
  end)

  it("is asked for in words", function()
    assert.is_true((schema.check_id("integer", "42")))
    local ok, message, code = schema.check_id("integer", "abc")
    assert.is_nil(ok)
    assert.equal("invalid", code)
    assert.equal('model id "abc": the ids of p are integers, such as 42',
      message)
    assert.is_nil((schema.check_id("integer", "")))
    assert.is_true((schema.check_id("text", "abc")))
    assert.is_nil((schema.check_id("text", "")))
  end)
end)

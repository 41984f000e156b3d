-- A projection whose ids are integers, seen through the command.

local workplace = require "spec.engine.cli.workplace"

describe("ids that are integers", function()
  local place

  setup(function()
    place = workplace.new()
    place:counter("fields = { total = \"integer\", note = \"text\" },",
      'fields = { { "total", "integer" }, { "id", "integer" },\n'
      .. '    { "note", "text" } },\n  on_error = "park",')
    place:write("projections/counter.lua",
      (place:read("projections/counter.lua"):gsub("model = model or",
        'assert(event.data.note ~= "bad", "bad note")\n    %0')))
    for _, id in ipairs { "9", "10", "-42", "9223372036854775807" } do
      place:count(id, 5)
    end
    place:count("9", 1, "bad")
    place:count("10", 2, "bad")
    place:done { "run", "--once" }
  end)

  local function get(...)
    return place:done { "get", "counter", ... }
  end

  it("are got by their number", function()
    assert.equal('{"id":9,"total":5,"note":null}\n', get("9", "--json"))
    assert.equal("id     10\ntotal  5\nnote   –\n", get "10")
    assert.equal('{"id":-42,"total":5,"note":null}\n',
      get("--json", "--", "-42"))
    assert.equal('{"id":9223372036854775807,"total":5,"note":null}\n',
      get("9223372036854775807", "--json"))
  end)

  it("are no ids in another form", function()
    for _, id in ipairs { "09", "9.0", "a", "9223372036854775808" } do
      local code, _, err = place:run { "get", "counter", id }
      assert.equal(1, code)
      assert.matches('model id "' .. id .. '": the ids of counter are '
        .. "integers, such as 42", err, 1, true)
    end
    local code, _, err = place:run { "get", "counter", "8" }
    assert.equal(1, code)
    assert.matches("counter has no model 8", err, 1, true)
  end)

  it("are ordered and compared by number", function()
    assert.equal("                 id  total  note\n"
      .. "                -42      5  –\n"
      .. "                  9      5  –\n"
      .. "                 10      5  –\n"
      .. "9223372036854775807      5  –\n", place:done { "query", "counter" })
    assert.equal('[\n{"id":10},\n{"id":9}\n]\n', place:done { "query",
      "counter", "id=gte.9", "id=lt.11", "order=id.desc", "select=id",
      "--json" })
    local code, _, err = place:run { "query", "counter", "id=like.1*" }
    assert.equal(1, code)
    assert.matches("like and ilike are for texts; id is of type integer", err,
      1, true)
  end)

  it("are those of parked events too", function()
    local list = { "parked", "list", "counter" }
    assert.matches('"number":1,"model_id":9,', place:done { "parked", "list",
      "counter", "--json" }, 1, true)
    assert.matches("\ncounter +1 +9 .*\ncounter +2 +10 ", place:done(list))
    place:write("projections/counter.lua",
      (place:read("projections/counter.lua"):gsub('~= "bad"', '~= "worse"')))
    place:done { "parked", "retry", "counter", "9" }
    assert.equal('{"id":9,"total":6,"note":"bad"}\n', get("9", "--json"))
    local code, _, err = place:run { "parked", "retry", "counter", "010" }
    assert.equal(1, code)
    assert.matches("010", err, 1, true)
    place:done { "parked", "discard", "counter", "10" }
    assert.equal("[]\n", place:done { "parked", "list", "--json" })
  end)

  it("are integers in the database", function()
    assert.equal("-42\n9\n10\n9223372036854775807", place:sql("bank.db",
      "SELECT id FROM counter WHERE typeof(id) = 'integer' ORDER BY id"))
  end)

  it("need a new version where they were texts", function()
    place:write("projections/counter.lua",
      (place:read("projections/counter.lua"):gsub('"id", "integer"',
        '"id", "text"')))
    local code, _, err = place:run { "run", "--once" }
    assert.equal(1, code)
    assert.matches('key integer is now key text; raise the version', err,
      1, true)
    place:write("projections/counter.lua",
      (place:read("projections/counter.lua"):gsub("version = 1",
        "version = 2")))
    place:done { "rebuild", "counter" }
    place:done { "run", "--once" }
    assert.equal('{"id":"10","total":7,"note":"bad"}\n', get("10", "--json"))
  end)
end)

describe("the order of the fields", function()
  it("may change under one version, and is that of the next build", function()
    local place = workplace.new()
    local fields = 'fields = { total = "integer", note = "text" },'
    local function columns()
      return place:sql("bank.db", "SELECT group_concat(name) FROM "
        .. "pragma_table_info('counter')")
    end
    place:counter()
    place:count("a", 5)
    place:done { "run", "--once" }
    assert.equal("id,note,total", columns())
    place:counter(fields,
      'fields = { { "total", "integer" }, { "note", "text" } },')
    assert.equal('{"id":"a","note":null,"total":5}\n',
      place:done { "get", "counter", "a", "--json" })
    place:count("a", 2)
    place:done { "run", "--once" }
    assert.equal('[\n{"id":"a","note":null,"total":7}\n]\n',
      place:done { "query", "counter", "--json" })
    assert.equal("id,note,total", columns())
    place:done { "rebuild", "counter" }
    place:done { "run", "--once" }
    assert.equal("id,total,note", columns())
    assert.equal('{"id":"a","total":7,"note":null}\n',
      place:done { "get", "counter", "a", "--json" })
  end)
end)

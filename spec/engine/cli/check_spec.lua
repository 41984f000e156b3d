local workplace = require "spec.engine.cli.workplace"

describe("lunette check", function()
  local place

  before_each(function()
    place = workplace.new()
    place.env.LUNETTE_EVENTS = "sqlite:/no/such/folder/x.db"
    place:counter()
  end)

  it("says what a script is, and opens no store", function()
    assert.equal("projections/counter.lua: counter version 1: "
      .. "note text, total integer\n",
      place:done { "check", "projections/counter.lua" })
  end)

  it("checks a folder, by default the one of the scripts", function()
    local one = place:done { "check", "projections" }
    assert.equal(one, place:done { "check" })
    place:write("projections/counter_spec.lua", "not a script")
    assert.equal(one, place:done { "check" })
  end)

  it("takes a byte order mark off, and names other encodings", function()
    local text = place:read "projections/counter.lua"
    place:write("projections/counter.lua", "\u{feff}" .. text)
    place:done { "check" }
    place:write("projections/counter.lua",
      "\xff\xfe" .. text:gsub(".", "%0\0"))
    local code, _, err = place:run { "check" }
    assert.equal(1, code)
    assert.matches("projections/counter.lua: is UTF-16 (byte order mark or "
      .. "zero bytes): save it as UTF-8", err, 1, true)
  end)

  it("describes scripts to programs", function()
    local out = place:done { "check", "--json" }
    assert.matches('^%[\n{"name":"counter","version":1,"fields":'
      .. '{"note":"text","total":"integer"},"handles":%["Counted"%],', out)
    assert.matches('"id":"text","columns":%["id","note","total"%]}\n', out)
  end)

  it("says the type of the id and the order of the fields", function()
    local script = [[return { name = "p", version = 1, fields = %s,
      extract_model_id = function() end, apply_to_model = function() end }]]
    local function check(fields, ...)
      place:write("projections/p.lua", script:format(fields))
      return place:done { "check", "projections/p.lua", ... }
    end
    local list = '{ { "owner", "text" }, { "id", "integer" }, '
      .. '{ "balance", "number" } }'
    assert.equal("projections/p.lua: p version 1: id integer, owner text, "
      .. "balance number\n", check(list))
    local json = check(list, "--json")
    assert.matches('"fields":{"owner":"text","balance":"number"},', json, 1,
      true)
    assert.matches('"id":"integer","columns":["id","owner","balance"]}', json,
      1, true)
    assert.equal("projections/p.lua: p version 1: id integer\n",
      check '{ id = "integer" }')
    assert.equal("projections/p.lua: p version 1: id text\n",
      check '{ id = "text" }')
    assert.matches('"fields":{},', check('{ id = "text" }', "--json"), 1, true)
    assert.matches('"id":"text","columns":["id","model"]}',
      check("nil", "--json"), 1, true)
  end)

  it("names file and line or field of every mistake", function()
    place:write("projections/a.lua", "\nreturn {")
    place:write("projections/b.lua",
      "return {\n  name = 'b',\n  version = 0,\n}")
    local code, out, err = place:run { "check" }
    assert.equal(1, code)
    assert.matches("projections/counter.lua: counter", out, 1, true)
    assert.matches("projections/a.lua:2: ", err, 1, true)
    assert.matches("projections/b.lua: version: ", err, 1, true)
  end)

  it("shows where a script raised an error", function()
    place:write("projections/a.lua", "local function deep()\n"
      .. "  error 'no good'\nend\ndeep()\n")
    local code, _, err = place:run { "check", "projections/a.lua" }
    assert.equal(1, code)
    assert.matches("projections/a.lua:2: no good\n", err, 1, true)
    assert.matches("    [^\n]*projections/a.lua:4", err)
  end)

  it("refuses one name twice, unless the files are named", function()
    place:write("projections/other.lua", place:read "projections/counter.lua")
    local code, out, err = place:run { "check" }
    assert.equal(1, code)
    assert.matches("projections/counter.lua: counter", out, 1, true)
    assert.equal("projections/other.lua: its name is taken by "
      .. "projections/counter.lua: give one of them another name\n", err)
    place:done { "check", "projections/counter.lua", "projections/other.lua" }
  end)

  it("says that there is no script", function()
    os.remove(place:path "projections/counter.lua")
    local code, out, err = place:run { "check" }
    assert.same({ 1, "" }, { code, out })
    assert.matches("there is no script in projections;", err, 1, true)
    code, out = place:run { "check", "projections", "--json" }
    assert.same({ 1, "[]\n" }, { code, out })
  end)

  it("says which file is missing", function()
    local code, _, err = place:run { "check", "absent.lua" }
    assert.equal(1, code)
    assert.equal("absent.lua: No such file or directory; "
      .. "`lunette new NAME' writes a script\n", err)
  end)
end)

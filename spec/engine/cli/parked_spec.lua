local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

local parking = [[
    if event.data.note == "bad" then error("bad note") end
    model.total = model.total + event.data.n
]]

describe("lunette parked", function()
  local place

  before_each(function()
    place = workplace.new()
    place:counter("    model.total = model.total + event.data.n\n", parking)
    place:write("projections/counter.lua",
      (place:read("projections/counter.lua"):gsub("version = 1,",
        'version = 1, on_error = "park",')))
    place:count("a", 1)
    place:count("a", 2, "bad")
    place:count("a", 4)
    place:count("b", 8, "bad")
    place:count("c", 16)
    place:done { "run", "--once" }
  end)

  local function totals()
    return place:sql("bank.db",
      "SELECT group_concat(id || total, ' ') FROM counter ORDER BY id")
  end

  local function edit(old, new)
    local path = "projections/counter.lua"
    place:write(path, (place:read(path):gsub(old, new)))
  end

  local function mend()
    edit('"bad" then', '"worse" then')
  end

  it("lists them in order with their errors", function()
    local out = place:done { "parked", "list", "counter" }
    assert.matches("bad note", out, 1, true)
    assert.matches("\ncounter +1 +a +2 .*\ncounter +2 +a +3 .*\ncounter +3 +b ",
      out)
    assert.equal(out, place:done { "parked", "list" })
    local _, lines = place:done { "parked", "list", "counter", "b", "--json" }
      :gsub('"model_id":"b"', "")
    assert.equal(1, lines)
  end)

  it("shows the whole error on a terminal, below what has no room", function()
    local list = ("%s parked list -e sqlite:bank.db -m sqlite:bank.db"
      .. " counter b")
      :format(helper.lunette)
    local function on_terminal(cells)
      local code, out = helper.run({ "script", "-qec",
        ("cd %s && stty cols %d rows 20 && %s"):format(
          place.folder, cells, list),
        "/dev/null" }, { env = { LC_ALL = "C.UTF-8" } })
      assert.equal(0, code, out)
      return out
    end
    assert.matches("\ncounter [^\n]*\n  [^\n]*bad note\r?\n",
      on_terminal(60))
    assert.not_matches("error", on_terminal(60), 1, true)
    assert.matches("\ncounter [^\n]*  %S[^\n]*bad note\r?\n$",
      on_terminal(300))
  end)

  it("retries them in order once the script is mended", function()
    assert.equal("a1 c16", totals())
    mend()
    place:done { "parked", "retry", "counter", "b" }
    assert.equal("a1 b8 c16", totals())
    place:done { "parked", "retry" }
    assert.equal("a7 b8 c16", totals())
    assert.equal("[]\n", place:done { "parked", "list", "--json" })
  end)

  it("keeps those of a model that fails again", function()
    place:run { "parked", "retry", "counter" }
    local _, lines = place:done { "parked", "list", "--json" }
      :gsub('"number":', "")
    assert.equal(3, lines)
    assert.equal("a1 c16", totals())
  end)

  it("retries those of every projection, also after one that fails", function()
    local script = place:read "projections/counter.lua"
    place:write("projections/later.lua", (script:gsub('"counter"', '"later"')))
    place:done { "run", "--once" }
    place:write("projections/later.lua", (script:gsub('"counter"', '"later"')
      :gsub('"bad" then', '"worse" then')))
    local code, _, err = place:run { "parked", "retry" }
    assert.equal(1, code)
    assert.matches("counter: 2 of the parked events still fail", err, 1, true)
    local list = place:done { "parked", "list" }
    assert.matches("\ncounter ", list)
    assert.is_nil(list:find "\nlater ")
  end)

  it("discards them, and later events apply again", function()
    place:done { "parked", "discard", "counter", "a" }
    place:count("a", 32)
    place:done { "run", "--once" }
    assert.equal("a33 c16", totals())
    assert.matches("counter +3 +b ", place:done { "parked", "list" })
    place:done { "parked", "discard", "--all" }
    assert.equal("[]\n", place:done { "parked", "list", "--json" })
  end)

  it("says that a model has none", function()
    for _, word in ipairs { "retry", "discard" } do
      local code, out, err = place:run { "parked", word, "counter", "c" }
      assert.equal(1, code)
      assert.equal("", out)
      assert.equal('lunette parked: model "c" of counter has no parked '
        .. "events\n", err)
    end
  end)

  it("says that nothing is parked", function()
    mend()
    assert.equal("", select(3, place:run { "parked", "retry" }))
    for words, told in pairs {
      [{ "retry", "counter" }] = "counter: nothing is parked\n",
      [{ "discard", "counter" }] = "counter: nothing is parked\n",
      [{ "retry" }] = "nothing is parked\n",
      [{ "discard", "--all" }] = "nothing is parked\n",
    } do
      local code, out, err = place:run { "parked", table.unpack(words) }
      assert.equal(0, code)
      assert.equal("", out)
      assert.equal(told, err)
    end
    assert.equal(1, (place:run { "parked", "retry", "nobody" }))
  end)

  it("lists events whose data is no JSON for it", function()
    place:sql("bank.db", "INSERT INTO events (stream, version, type, data)"
      .. [[ VALUES ('d', 1, 'Counted', '{"id":"a","n":1,"id":"a"}')]])
    place:write("projections/counter.lua",
      (place:read("projections/counter.lua"):gsub("return event.data.id",
        "return event.stream == 'd' and 'd' or event.data.id")))
    place:done { "run", "--once" }
    assert.matches("counter +4 +d +6 +d .*duplicate key",
      (place:done { "parked", "list" }))
    local out = place:done { "parked", "list", "counter", "d", "--json" }
    assert.matches([["data":"{\"id\":\"a\",\"n\":1,\"id\":\"a\"}"]]
      .. [[,"data_error":"]], out, 1, true)
    assert.matches("duplicate key", place:done { "events", "--json" }, 1, true)
    assert.matches('{"id":"a","n":1,"id":"a"}',
      place:done { "events" }, 1, true)
  end)

  it("discards those of every projection only when told to", function()
    local before = place:done { "parked", "list", "--json" }
    local code, out, err = place:run { "parked", "discard" }
    assert.equal(2, code)
    assert.equal("", out)
    assert.matches("discard needs a NAME, or --all", err, 1, true)
    for _, words in ipairs {
      { "discard", "counter", "--all" },
      { "retry", "--all" },
      { "list", "--all" },
    } do
      assert.equal(2, (place:run { "parked", table.unpack(words) }))
    end
    assert.equal(before, place:done { "parked", "list", "--json" })
    assert.matches("--all", place:done { "parked", "--help" }, 1, true)
  end)

  it("lists skipped events", function()
    edit('"park"', '"skip"')
    place:done { "rebuild", "counter" }
    local out = place:done { "parked", "list", "--skipped", "--json" }
    local _, lines = out:gsub('"error":', "")
    assert.equal(2, lines)
    assert.equal("a5 c16", totals())
  end)

  it("takes other words as misuse", function()
    assert.equal(2, (place:run { "parked" }))
    assert.equal(2, (place:run { "parked", "forget", "counter" }))
    assert.equal(2, (place:run { "parked", "retry", "--skipped" }))
  end)
end)

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

describe("lunette get and query", function()
  local place

  setup(function()
    place = workplace.new()
    place:counter()
    place:count("a", 5, "short")
    place:count("b", 1200, ("long "):rep(30))
    place:count("ç", -7)
    place:count("d", 12, "日本語\\ntwo")
    place:done { "run", "--once" }
  end)

  local function query(...)
    return place:done { "query", "counter", ... }
  end

  it("print a model's fields in lines", function()
    assert.equal("id     a\nnote   short\ntotal  5\n",
      place:done { "get", "counter", "a" })
    assert.equal('{"id":"a","note":"short","total":5}\n',
      place:done { "get", "counter", "a", "--json" })
  end)

  it("say that there is no such model or projection", function()
    local code, _, err = place:run { "get", "counter", "z" }
    assert.same({ 1, "lunette get: counter has no model z\n" }, { code, err })
    code, _, err = place:run { "query", "absent" }
    assert.equal(1, code)
    assert.matches('"absent" is not in the model store', err, 1, true)
  end)

  it("print a table, numbers flush right and nothing as a dash", function()
    assert.equal("id  total  note\n"
      .. "a       5  short\n"
      .. "ç      -7  –\n",
      query("total=lt.10", "order=id", "select=id,total,note"))
  end)

  it("count wide characters and show control characters", function()
    assert.equal("note         total\n日本語\\ntwo     12\n",
      query("id=eq.d", "select=note,total"))
  end)

  it("never cut where nobody looks", function()
    assert.matches(("long "):rep(29), query "id=eq.b", 1, true)
  end)

  it("say on a terminal that there may be more", function()
    local function on_terminal(...)
      local command = ("cd %s && %s query counter -m sqlite:bank.db %s")
        :format(place.folder, helper.lunette, table.concat({ ... }, " "))
      local code, out = helper.run({ "script", "-qec", command, "/dev/null" },
        { env = { LC_ALL = "C.UTF-8", LUNETTE_MODELS = false } })
      assert.equal(0, code, out)
      return out
    end
    assert.matches("3 rows, the most without limit=", on_terminal
      "--query-limit 3", 1, true)
    assert.not_matches("limit=", on_terminal "--query-limit 5", 1, true)
    assert.not_matches("limit=", on_terminal("--query-limit 3", "limit=3"),
      1, true)
    local code, _, err = place:run { "query", "counter", "--query-limit", "3" }
    assert.same({ 0, "" }, { code, err })
  end)

  it("cut lines to fit a terminal", function()
    local command = ("cd %s && stty cols 60 rows 20 && %s query -m %s counter"
      .. " order=total.desc"):format(place.folder, helper.lunette,
      "sqlite:bank.db")
    local code, out = helper.run({ "script", "-qec", command, "/dev/null" },
      { env = { LC_ALL = "C.UTF-8", LUNETTE_MODELS = false } })
    assert.equal(0, code, out)
    local line = out:match "(b [^\r\n]*)"
    assert.equal(60, utf8.len(line), out)
    assert.matches("…", line, 1, true)
  end)

  it("give programs one row a line", function()
    assert.equal('[\n{"id":"a"},\n{"id":"b"}\n]\n',
      query("order=id", "limit=2", "select=id", "--json"))
    assert.equal("[]\n", query("id=eq.z", "--json"))
  end)

  it("say what is wrong with a filter", function()
    local code, out, err = place:run { "query", "counter", "totl=gt.1" }
    assert.same({ 1, "" }, { code, out })
    assert.matches('no field "totl"', err, 1, true)
  end)

  it("let the script answer", function()
    local other = workplace.new()
    other:counter("  extract_model_id", [[
  handle_query = function(store, query)
    return { { answer = 42 } }
  end,
  extract_model_id]])
    other:count("a", 1)
    other:done { "run", "--once" }
    assert.equal("answer\n    42\n", other:done { "query", "counter" })
  end)
end)

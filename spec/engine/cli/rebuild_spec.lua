local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

describe("lunette rebuild", function()
  local place, engine

  before_each(function()
    place = workplace.new()
    place:counter()
    place:count("a", 1)
    place:count("a", 2)
  end)

  after_each(function()
    if engine then
      engine:kill "KILL"
      engine:wait()
      engine = nil
    end
  end)

  local function total()
    return place:sql("bank.db", "SELECT total FROM counter WHERE id = 'a'")
  end

  it("replays where nobody runs the projection", function()
    place:done { "run", "--once" }
    place:sql("bank.db", "UPDATE counter__b1 SET total = 99")
    local _, _, err = place:run { "rebuild", "counter" }
    assert.matches("counter: 2 events in", err, 1, true)
    assert.equal("3", total())
  end)

  it("names a script that does not load where it finds none", function()
    place:done { "run", "--once" }
    place:write("other.lua", "return {")
    local code, _, err = place:run { "-p", "other.lua", "rebuild", "counter" }
    assert.equal(1, code)
    assert.matches("no script of counter was found; this one is left out: "
      .. "other.lua:1: ", err, 1, true)
    assert.matches("its script is not registered", err, 1, true)
    local found
    code, found, err = place:run { "-p", "other.lua", "query", "counter" }
    assert.equal(0, code)
    assert.matches("a ", found, 1, true)
    assert.matches("left out: other.lua:1: ", err, 1, true)
  end)

  it("builds the models of a raised version", function()
    place:done { "run", "--once" }
    place:counter("version = 1", "version = 2")
    local code, _, err = place:run { "run", "--once" }
    assert.equal(1, code)
    assert.matches("lunette rebuild counter", err, 1, true)
    place:done { "rebuild", "counter" }
    place:done { "run", "--once" }
    assert.equal("3", total())
    assert.matches("counter +stopped +2 ", place:done { "status" })
  end)

  it("ends a pause, with an engine and without", function()
    place:done { "run", "--once" }
    place:done { "pause", "counter" }
    place:count("a", 4)
    local _, _, err = place:run { "rebuild", "counter" }
    assert.matches("counter: 3 events in", err, 1, true)
    assert.matches("counter +stopped ", place:done { "status" })
    engine = place:start "counter"
    place:done { "pause", "counter" }
    place:count("a", 8)
    _, _, err = place:run { "rebuild", "counter" }
    assert.matches("counter: built anew in [^\n]* by the engine that runs it",
      err)
    assert.equal("15", total())
    helper.wait(function()
      return place:done({ "status" }):find "counter +live "
    end)
  end)

  it("is done by the engine that runs it, and waited for", function()
    engine = place:start "counter"
    place:sql("bank.db", "UPDATE counter__b1 SET total = 99")
    local code, _, err = place:run { "rebuild", "counter" }
    assert.equal(0, code, err)
    assert.equal("3", total())
    assert.matches("counter: rebuild: done", engine:stderr(), 1, true)
  end)

  local changes = {
    ["a field"] = { 'total = "integer"', 'total = "integer", more = "text"' },
    ["the key"] = { "fields = {", 'fields = { id = "integer",' },
    ["handles"] = { 'handles = { "Counted" }', 'handles = { "Other" }' },
    ["a lower version"] = { "version = 2", "version = 1" },
  }
  for what, change in pairs(changes) do
    it("asks for a higher version where " .. what .. " changed, with an engine "
      .. "and without", function()
        place:counter("version = 1", "version = 2")
        place:done { "run", "--once" }
        local before = place:read "projections/counter.lua"
        local text, count = before:gsub(change[1], change[2])
        assert.equal(1, count)
        place:write("projections/counter.lua", text)
        local function refused()
          local code, _, err = place:run { "rebuild", "counter" }
          assert.equal(1, code)
          assert.matches("raise the version", err)
          assert.equal("3", total())
        end
        refused()
        place:write("projections/counter.lua", before)
        engine = place:start "counter"
        place:write("projections/counter.lua", text)
        refused()
        place:write("projections/counter.lua", (text:gsub("version = %d",
          "version = 3"):gsub('id = "integer",', ""):gsub("Other", "Counted")))
        place:done { "rebuild", "counter" }
        assert.equal("3", total())
        assert.matches("counter +live +3 ", place:done { "status" })
      end)
  end

  it("says what is wrong with a script, with an engine and without", function()
    place:done { "run", "--once" }
    local function refused()
      local before = place:read "projections/counter.lua"
      place:write("projections/counter.lua", "return {")
      local code, _, err = place:run { "rebuild", "counter" }
      assert.equal(1, code)
      assert.matches("counter.lua:1: unexpected symbol", err)
      assert.equal("3", total())
      place:write("projections/counter.lua", before)
    end
    refused()
    engine = place:start "counter"
    refused()
  end)

  it("is refused by an engine that has another text of the script", function()
    engine = place:start "counter"
    helper.mkdir(place:path "others")
    place:write("others/counter.lua",
      place:read "projections/counter.lua" .. "-- changed\n")
    local code, _, err = place:run { "rebuild", "-p", "others", "counter" }
    assert.equal(1, code)
    assert.matches("has another text of its script", err)
    assert.is_nil(engine:stderr():find("rebuild: done", 1, true))
  end)

  describe("that takes long", function()
    local asker

    before_each(function()
      place:counter("model = model",
        "for _ = 1, 300000 do end\n    model = model")
      local lines = {}
      for i = 1, 1000 do
        lines[i] = '{"stream":"b","type":"Counted","data":{"id":"b","n":1}}'
      end
      place:write("events.jsonl", table.concat(lines, "\n") .. "\n")
      place:done { "import", "events.jsonl" }
      engine = place:start "counter"
      asker = place:spawn { "rebuild", "counter" }
      helper.wait(function()
        return engine:stderr():find("rebuild: done", 1, true)
      end)
      helper.wait(function() -- and whoever asked may be told
        return place:sql("bank.db", [[SELECT count(*) FROM lunette_requests
          WHERE outcome IS NULL]]) == "0"
      end)
    end)

    it("is not done where it is paused meanwhile", function()
      place:done { "pause", "counter" }
      assert.equal(1, asker:wait())
      assert.matches("was paused before it had caught up", asker:stderr())
    end)

    it("is taken over where its engine is killed", function()
      engine:kill "KILL"
      assert.equal(0, asker:wait(), asker:stderr())
      assert.equal("3|1000", place:sql("bank.db",
        "SELECT group_concat(total, '|') FROM counter"))
    end)
  end)

  it("leaves views and triggers of others in place", function()
    place:done { "run", "--once" }
    place:sql("bank.db", [[
      CREATE TABLE noted (id);
      CREATE VIEW mine AS SELECT total FROM counter;
      CREATE TRIGGER taken INSTEAD OF DELETE ON counter
        BEGIN INSERT INTO noted VALUES (old.id); END;]])
    place:done { "rebuild", "counter" }
    place:sql("bank.db", "DELETE FROM counter")
    assert.equal("3", place:sql("bank.db", "SELECT * FROM mine"))
    assert.equal("a", place:sql("bank.db", "SELECT * FROM noted"))
  end)

  it("returns once the models are cleared, if asked to", function()
    engine = place:start "counter"
    place:sql("bank.db", "UPDATE counter__b1 SET total = 99")
    place:done { "rebuild", "--no-wait", "counter" }
    helper.wait(function()
      return total() == "3"
    end)
  end)
end)

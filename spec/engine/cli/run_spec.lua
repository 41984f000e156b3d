local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

describe("lunette run", function()
  local place, engine

  before_each(function()
    place = workplace.new()
    place:counter()
  end)

  after_each(function()
    if engine then
      engine:kill "KILL"
      engine:wait()
      engine = nil
    end
  end)

  local function total(id)
    return place:sql("bank.db",
      "SELECT total FROM counter WHERE id = '" .. id .. "'")
  end

  describe("--once", function()
    it("brings every projection to the head", function()
      place:count("a", 2)
      place:count("a", 3)
      local code, out, err = place:run { "run", "--once" }
      assert.same({ 0, "" }, { code, out })
      assert.matches("counter: 2 events in", err, 1, true)
      assert.equal("5", total "a")
    end)

    it("says how many events were skipped or parked, and why", function()
      for amount = 1, 4 do
        place:count("a", amount)
      end
      for name, on_error in pairs { lax = "skip", strict = "park" } do
        place:write("projections/" .. name .. ".lua", ([[
          return {
            name = "%s",
            version = 1,
            on_error = "%s",
            extract_model_id = function(event) return event.stream end,
            apply_to_model = function() error "no model for this" end,
          }
        ]]):format(name, on_error))
      end
      local code, _, err = place:run { "run", "--once" }
      assert.equal(0, code, err)
      assert.matches("lax: event 1 %(%S+ on a%) was skipped: "
        .. "[^\n]*no model for this", err)
      assert.matches("strict: event 1 %(%S+ on a%) was parked: "
        .. "[^\n]*no model for this", err)
      assert.matches("lax: 3 more events were skipped", err, 1, true)
      assert.matches("strict: 3 more events were parked", err, 1, true)
      assert.matches("lax: 4 events in [^\n]*, 4 skipped\n", err)
      assert.matches("strict: 4 events in [^\n]*, 4 parked\n", err)
      assert.not_matches("counter: [^\n]*skipped", err)
      local status = place:done { "status" }
      assert.matches("PARKED +SKIPPED", status)
      assert.matches("lax .- 0 +4 +", status)
      assert.matches("strict .- 4 +0 +", status)
    end)

    it("warns of a model that grows large, once", function()
      place:write("projections/hoard.lua", [[
        return {
          name = "hoard",
          version = 1,
          fields = { all = "json" },
          extract_model_id = function(event) return event.stream end,
          apply_to_model = function(model, event)
            return { all = ("x"):rep(event.data.n) }
          end,
        }
      ]])
      place:count("a", 32700)
      local _, _, err = place:run { "run", "--once" }
      assert.not_matches("keep models small", err, 1, true)
      place:count("b", 32780)
      place:count("c", 32780)
      _, _, err = place:run { "run", "--once" }
      assert.matches("hoard: model b has grown to 32 kB", err, 1, true)
      assert.equal(1, select(2, err:gsub("keep models small", "")))
    end)

    it("fails if a projection fails, after the others are done", function()
      place:count("a", 2)
      place:write("projections/broken.lua", [[
        return {
          name = "broken",
          version = 1,
          extract_model_id = function(event) return event.data.missing.id end,
          apply_to_model = function(model) return model end,
        }
      ]])
      local code, _, err = place:run { "run", "--once" }
      assert.equal(1, code)
      assert.matches("lunette run: broken", err, 1, true)
      assert.matches("broken.lua:4", err, 1, true)
      assert.equal("2", total "a")
    end)

    it("fails if a script cannot be loaded, after the others", function()
      place:count("a", 2)
      place:write("projections/broken.lua", "return {")
      local code, _, err = place:run { "run", "--once" }
      assert.equal(1, code)
      assert.matches("projections/broken.lua:1:", err, 1, true)
      assert.equal("2", total "a")
    end)

    it("fails if there is no script, and says what to do", function()
      os.remove(place:path "projections/counter.lua")
      place:write("projections/counter_spec.lua", "")
      local code, out, err = place:run { "run", "--once" }
      assert.same({ 1, "" }, { code, out })
      assert.equal("lunette run: there is no script in projections; "
        .. "`lunette new NAME' writes one\n", err)
      assert.is_nil(io.open(place:path "bank.db"))
    end)

    it("takes one script", function()
      place:write("projections/broken.lua", "return {")
      place:count("a", 2)
      local code = place:run { "run", "--once", "-p",
        "projections/counter.lua" }
      assert.equal(0, code)
    end)
  end)

  it("goes on live until SIGTERM, and then ends well", function()
    engine = place:start "counter"
    place:count("a", 4)
    helper.wait(function()
      return total "a" == "4"
    end)
    engine:kill "TERM"
    assert.equal(0, (engine:wait()))
    assert.equal("", engine:stdout())
    assert.matches("SIGTERM: finishing", engine:stderr(), 1, true)
    engine = nil
  end)

  it("logs with time and level", function()
    engine = place:start "counter"
    assert.matches("%d+%-%d+%-%d+T[%d:.]+Z info +counter: ", engine:stderr())
    engine:kill "INT"
    assert.equal(0, (engine:wait()))
    engine = place:spawn { "run", "--log-level", "error" }
    place:count("a", 4)
    helper.wait(function()
      return total "a" == "4"
    end)
    assert.equal("", engine:stderr())
  end)

  it("ends at once at the second signal", function()
    place:write("projections/counter.lua", [[
      return {
        name = "counter",
        version = 1,
        extract_model_id = function()
          for _ = 1, 200000 do end
          return "x"
        end,
        apply_to_model = function(model) return model end,
      }
    ]])
    place:write("many.jsonl",
      ('{"stream":"s","type":"T","data":1}\n'):rep(20000))
    place:done { "import", "many.jsonl" }
    engine = place:spawn { "run", "--stop-ms", "60000" }
    helper.wait(function()
      return engine:stderr():find("counter: catching_up", 1, true)
    end)
    engine:kill "INT"
    helper.wait(function()
      return engine:stderr():find("once more to stop", 1, true)
    end)
    engine:kill "INT"
    assert.equal(130, (engine:wait()))
    engine = nil
  end)

  it("uses a script as it was edited last", function()
    engine = place:start "counter"
    place:count("a", 1)
    helper.wait(function()
      return total "a" == "1"
    end)
    place:counter("+ event.data.n", "+ 100 * event.data.n")
    helper.wait(function()
      return engine:stderr():find("counter: script reloaded", 1, true)
    end)
    place:count("a", 1)
    helper.wait(function()
      return total "a" == "101"
    end)
  end)

  it("does so in the folder in which it runs, too", function()
    local script = place:read "projections/counter.lua"
    local other = script:gsub('"counter"', '"other"')
    place:write("counter.lua", script)
    place:write("projections/other.lua", other)
    engine = place:start("counter",
      { "-p", ".", "-p", "projections/other.lua" })
    place:write("counter.lua", script .. "-- edited\n")
    place:write("projections/other.lua", other .. "-- edited\n")
    for _, name in ipairs { "counter", "other" } do
      helper.wait(function()
        return engine:stderr():find(name .. ": script reloaded", 1, true)
      end)
    end
  end)

  it("warns that there is no script, and takes up the first one", function()
    os.remove(place:path "projections/counter.lua")
    place:count("a", 4)
    engine = place:spawn { "run" }
    helper.wait(function()
      return engine:stderr():find("warning there is no script in projections; "
        .. "`lunette new NAME' writes one", 1, true)
    end)
    helper.wait(function()
      place:counter()
      return engine:stderr():find("counter: live", 1, true)
    end)
    assert.equal("4", total "a")
  end)

  it("does not call it a wait when it stops a script", function()
    place:counter("model = model or", "while true do end\n    model = model or")
    place:count("a", 4)
    engine = place:spawn { "run", "--stop-ms", "200", "--script-cpu-ms",
      "60000", "--script-instructions", "1000000000000" }
    helper.wait(function()
      local code, out = place:run { "--json", "status" }
      return code == 0 and out:find('"counter"', 1, true)
    end)
    engine:kill "TERM"
    engine:wait()
    assert.is_nil(engine:stderr():find("waits", 1, true))
  end)

  it("names a folder that cannot be read, and makes no store", function()
    for _, words in ipairs { { "run" }, { "run", "--once" } } do
      local code, _, err = place:run { "-p", "absent", table.unpack(words) }
      assert.equal(1, code)
      assert.matches("^lunette run: absent: No such file", err)
    end
    assert.is_nil(io.open(place:path "bank.db"))
  end)
end)

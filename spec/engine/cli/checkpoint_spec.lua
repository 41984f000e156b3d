local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

describe("lunette checkpoint", function()
  local place, engine

  before_each(function()
    place = workplace.new()
    place:counter()
    place:count("a", 1)
    place:count("a", 2)
    place:done { "run", "--once" }
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

  it("shows how far a projection has come", function()
    local out = place:done { "checkpoint", "show", "counter" }
    assert.matches("\nposition +2\n", out)
    assert.matches('"position":"2"',
      place:done { "checkpoint", "show", "counter", "--json" }, 1, true)
  end)

  it("sets it, where no engine runs the projection", function()
    place:done { "checkpoint", "set", "counter", "1" }
    place:done { "run", "--once" }
    assert.equal("5", total())
  end)

  it("sets it as told where the event that was read last was deleted",
    function()
      for _, later in ipairs { false, true } do
        place:sql("bank.db",
          "DELETE FROM events ORDER BY position DESC LIMIT 1")
        if later then
          place:count("a", 8)
        end
        local code, _, err = place:run { "run", "--once" }
        assert.equal(1, code)
        local position = err:match "lunette checkpoint set NAME (%d+)"
        place:done { "checkpoint", "set", "counter", position }
        place:done { "run", "--once" }
        assert.equal(later and "15" or "3", total())
        place:count("a", 4)
        place:done { "run", "--once" }
        assert.equal(later and "19" or "7", total())
      end
    end)

  it("sets it in a running engine only while paused", function()
    engine = place:start "counter"
    local code, _, err = place:run { "checkpoint", "set", "counter", "1" }
    assert.equal(1, code)
    assert.matches("pause it", err, 1, true)
    place:done { "pause", "counter" }
    place:done { "checkpoint", "set", "counter", "1" }
    assert.matches("\nposition +1\n",
      place:done { "checkpoint", "show", "counter" })
  end)

  it("deletes a projection with its models", function()
    place:done { "checkpoint", "delete", "counter" }
    assert.equal(1, (place:run { "checkpoint", "show", "counter" }))
    place:done { "run", "--once" }
    assert.equal("3", total())
  end)

  it("refuses what is no position", function()
    local code, _, err = place:run { "checkpoint", "set", "counter", "x" }
    assert.equal(1, code)
    assert.matches('"x"', err, 1, true)
  end)

  it("refuses a position beyond the head", function()
    local code, _, err = place:run { "checkpoint", "set", "counter", "999" }
    assert.equal(1, code)
    assert.matches("counter: position 999 lies beyond the head", err, 1, true)
    place:count("a", 4)
    place:done { "run", "--once" }
    assert.equal("7", total())
  end)

  describe("of another identity of the event store", function()
    local function refuse_to_run()
      local code, _, err = place:run { "run", "--once" }
      assert.equal(1, code)
      assert.matches('under another identity, "lunette checkpoint adopt '
        .. 'counter"', err, 1, true)
    end

    before_each(function()
      place:count("a", 4)
      place:sql("bank.db", "UPDATE lunette_event_store SET identity = 'new'")
    end)

    it("is adopted and goes on from where it was", function()
      refuse_to_run()
      assert.matches("^counter was built from event store %S+ and goes on with "
        .. "new; tokens of the old one are refused now\n$",
        place:done { "checkpoint", "adopt", "counter" })
      assert.matches("\nposition +2\n",
        place:done { "checkpoint", "show", "counter" })
      place:sql("bank.db", "UPDATE counter__b1 SET total = 100")
      place:done { "run", "--once" }
      assert.equal("104", total())
    end)

    it("is adopted by the engine that cannot run it", function()
      engine = place:spawn { "run" }
      helper.wait(function()
        return engine:stderr():find "lunette checkpoint adopt counter"
      end)
      place:done { "checkpoint", "adopt", "counter" }
      assert.matches("counter: was built from event store %S+, which is now "
        .. "new\n", engine:stderr())
      helper.wait(function()
        return total() == "7"
      end)
    end)

    it("is not adopted where what it has read is not there", function()
      place:sql("bank.db", "UPDATE events SET id = 'x' WHERE position = 2")
      local code, _, err = place:run { "checkpoint", "adopt", "counter" }
      assert.equal(1, code)
      assert.matches("rebuild", err)
      refuse_to_run()
      place:sql("bank.db", "DELETE FROM events WHERE position > 1")
      assert.equal(1, (place:run { "checkpoint", "adopt", "counter" }))
      refuse_to_run()
    end)

    it("is left as it is where it has it already", function()
      place:done { "checkpoint", "adopt", "counter" }
      local function revision()
        return place:done({ "checkpoint", "show", "counter" })
          :match "\nrevision +(%d+)"
      end
      local before = revision()
      assert.equal("counter belongs to event store new already\n",
        place:done { "checkpoint", "adopt", "counter" })
      assert.equal(before, revision())
    end)

    it("is said where there was none before", function()
      place:done { "pause", "counter" }
      place:done { "checkpoint", "delete", "counter" }
      place:sql("bank.db", "DELETE FROM events")
      place:done { "run", "--once" }
      assert.equal("counter goes on with event store new\n",
        place:done { "checkpoint", "adopt", "counter" })
    end)

    it("is not adopted for whoever has another event store", function()
      place:done { "checkpoint", "adopt", "counter" }
      engine = place:spawn { "run" }
      helper.wait(function()
        return total() == "7"
      end)
      place:sql("bank.db", "VACUUM INTO '" .. place:path "copy.db" .. "'")
      place:sql("copy.db", "UPDATE lunette_event_store SET identity = 'copy'")
      local code, _, err = place:run({ "checkpoint", "adopt", "counter",
        "--events", "sqlite:copy.db" })
      assert.equal(1, code)
      assert.matches("counter: the engine that runs it has event store new, "
        .. "and is asked to take it over to copy: stop it", err)
    end)

    it("is adopted from one file by its copy", function()
      place:sql("bank.db", "UPDATE lunette_event_store SET identity = 'a'")
      local token = place:done({ "events", "--limit", "1", "--json",
        "--tokens" }):match '"token":"(.-)"'
      place:done { "checkpoint", "adopt", "counter" }
      place:sql("bank.db", "VACUUM INTO '" .. place:path "copy.db" .. "'")
      place:sql("copy.db", "UPDATE lunette_event_store SET identity = 'b'")
      place.env.LUNETTE_EVENTS = "sqlite:copy.db"
      refuse_to_run()
      assert.equal("counter was built from event store a and goes on with b; "
        .. "tokens of the old one are refused now\n",
        place:done { "checkpoint", "adopt", "counter" })
      place:done { "run", "--once" }
      assert.equal("7", total())
      local code, _, err = place:run { "checkpoint", "set", "counter", token }
      assert.equal(1, code)
      assert.matches("another event store", err, 1, true)
      place.env.LUNETTE_EVENTS = "sqlite:bank.db"
      refuse_to_run()
    end)

    it("is nothing that was never built", function()
      local code, _, err = place:run { "checkpoint", "adopt", "nobody" }
      assert.equal(1, code)
      assert.matches('"nobody" is not in the model store', err, 1, true)
    end)
  end)

  it("takes missing and surplus arguments as misuse", function()
    assert.equal(2, (place:run { "checkpoint", "set", "counter" }))
    assert.equal(2, (place:run { "checkpoint", "show", "counter", "1" }))
    assert.equal(2, (place:run { "checkpoint", "show" }))
  end)
end)

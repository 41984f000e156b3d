-- A models file that is removed, replaced or tampered with while an engine has
-- it open.

local helper = require "spec.helper"
local lunette = require "lunette"
local workplace = require "spec.engine.cli.workplace"

describe("an engine whose models file", function()
  local place, engine

  local function shell(command)
    local code, _, err = helper.run({ "/bin/sh", "-c", command },
      { cwd = place.folder })
    assert(code == 0, err)
  end

  before_each(function()
    place = workplace.new()
    place.env.LUNETTE_EVENTS = "sqlite:events.db"
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:counter()
    place:count("a", 1)
    place:done { "run", "--once" }
    shell "mkdir then; cp models.db then/models.db"
    shell "mkdir now; mv models.db* now; ln -s now/models.db models.db"
  end)

  after_each(function()
    if engine then
      engine:kill "KILL"
      engine:wait()
      engine = nil
    end
  end)

  local function start()
    engine = place:start "counter"
  end

  local ways = {
    ["was removed"] = "rm now/models.db",
    ["was replaced by an older copy"] = "mv then/models.db now/models.db",
    ["is behind a link that leads elsewhere"] =
      "ln -sfn then/models.db models.db",
    ["lost its log"] = "rm now/models.db-wal",
    ["lost the index of its log"] = "rm now/models.db-shm",
  }
  for words, command in pairs(ways) do
    it(words .. " says so, also where there is nothing to do", function()
      start()
      shell(command)
      helper.wait(function()
        return engine:stderr():find("counter: failed: models.db[-%l]* was "
          .. "replaced or removed while it was open")
      end)
    end)

    it(words .. " calls no commit a success", function()
      start()
      local models <close> = assert(lunette.open {
        events = "sqlite:" .. place:path "events.db",
        models = "sqlite:" .. place:path "models.db",
      })
      shell(command)
      local _, message = models:pause("counter", 0.1)
      assert.matches("was replaced or removed while it was open", message)
    end)
  end

  it("is behind a closed folder goes on", function()
    local plain = { "setpriv", "--bounding-set", "-all" }
    if helper.run { "setpriv", "--bounding-set", "-all", "true" } ~= 0 then
      pending "needs root, whom no folder is closed to, and setpriv"
      return
    end
    plain[#plain + 1] = helper.lunette
    plain[#plain + 1] = "run"
    engine = helper.spawn(plain, { cwd = place.folder, env = place.env })
    helper.wait(function()
      return engine:stderr():find("counter: live", 1, true)
    end)
    shell "chmod 0 now"
    place:count("a", 1)
    helper.wait(function()
      return place:done { "get", "--json", "counter", "a" }:find '"total":2'
    end)
    shell "chmod 755 now"
    assert.not_matches("failed", engine:stderr())
  end)

  it("lost a table says once that an ownership cannot be renewed", function()
    engine = place:start("counter",
      { "--lease-ms", "500", "--heartbeat-ms", "10" })
    place:sql("models.db",
      "ALTER TABLE lunette_checkpoints RENAME TO elsewhere")
    helper.wait(function()
      return engine:stderr():find("renewing the ownership", 1, true)
    end)
    local heartbeat = "SELECT at FROM lunette_heartbeats"
    local since = place:sql("models.db", heartbeat)
    helper.wait(function() -- each of the ten in it would have said so
      return place:sql("models.db", heartbeat) - since > 1000000
    end)
    local _, said = engine:stderr():gsub("renewing the ownership", "")
    assert.equal(1, said)
  end)
end)

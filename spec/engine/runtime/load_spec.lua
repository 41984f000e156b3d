-- A script or a settings file stuck in a library call while it is loaded.

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

-- Runs for years where no budget reaches it.
local stuck = [[string.find(("a"):rep(3000), "a-a-a-a-a-b")
return {}]]

local stuck_words = "is stuck in a library call %(a string pattern%?%) while "
  .. "it is loaded"

local place

before_each(function()
  place = workplace.new()
  place.env.LUNETTE_STUCK_MS = "50"
  place.env.LUNETTE_HEARTBEAT_MS = "50"
  place.env.LUNETTE_STOP_MS = "400"
  place:counter()
  place:count("a", 1)
end)

local function total()
  local code, out = place:run { "get", "--json", "counter", "a" }
  return code == 0 and tonumber(out:match '"total":(%d+)')
end

local function has_total(n)
  return function()
    return total() == n
  end
end

describe("a script that is stuck while it is loaded", function()
  it("fails a run to the head, which the others reach", function()
    place:write("projections/stuck.lua", stuck)
    local code, _, err = place:run { "run", "--once" }
    assert.equal(1, code)
    assert.matches("projections/stuck.lua: " .. stuck_words, err)
    assert.equal(1, total())
  end)

  it("is named by check and by query", function()
    place:write("projections/stuck.lua", stuck)
    local code, _, err = place:run { "check" }
    assert.equal(1, code)
    assert.matches("projections/stuck.lua: " .. stuck_words, err)
    place:run { "run", "--once" }
    code, _, err = place:run { "query", "stuck" }
    assert.equal(1, code)
    assert.matches("projections/stuck.lua: " .. stuck_words, err)
  end)

  it("is no reason for the settings file to hang", function()
    place:write("lunette.lua", stuck)
    local code, _, err = place:run { "status" }
    assert.equal(1, code)
    assert.matches("lunette.lua: " .. stuck_words, err)
  end)

  it("leaves signals deliverable", function()
    place.env.LUNETTE_STUCK_MS = "3600000"
    place:done { "run", "--once" } -- pause wants a model store
    place:write("projections/stuck.lua", stuck)
    for words, status in pairs {
      ["run"] = 130, ["run --once"] = 130, ["check"] = 143,
      ["pause stuck"] = 143,
    } do
      local list = {}
      for word in words:gmatch "%S+" do
        list[#list + 1] = word
      end
      local command = place:spawn(list)
      helper.wait(function()
        local name = io.popen(("cat /proc/%d/task/*/comm 2>/dev/null")
          :format(command:pid()))
        local loads = name:read("a"):find "lunette%-load"
        name:close()
        assert.equal("", command:stderr(), words)
        return loads
      end)
      command:kill "TERM"
      assert.equal(status, command:wait(5000), words)
    end
  end)

  it("takes nothing from those that run", function()
    local engine = place:start "counter"
    place:write("projections/stuck.lua", stuck)
    helper.wait(function()
      return engine:stderr():find(stuck_words)
    end)
    place:count("a", 1)
    helper.wait(has_total(2))
    assert.matches('"state":"live"', place:done { "status", "--json" })
    assert(os.remove(place:path "projections/stuck.lua"))
    place:write("projections/counter.lua", stuck .. " -- this one too")
    helper.wait(function()
      local status = place:done { "status", "--json" }
      return status:find('"last_error":"projections/counter.lua: '
        .. stuck_words) and status:find '"state":"live"'
    end)
    place:count("a", 1)
    helper.wait(has_total(3))
    place:counter("+ event.data.n", "+ 100 * event.data.n")
    helper.wait(function()
      return engine:stderr():find "counter: script reloaded"
    end)
    place:count("a", 1)
    helper.wait(has_total(103))
    engine:kill "TERM"
    assert.equal(0, engine:wait())
  end)
end)

describe("an engine that lost threads to scripts", function()
  -- In a process of its own: the threads stay behind.
  it("tries no lost text again, and nothing after eight", function()
    local code, out, err = helper.run({ "lua5.4", "-e", [[
      local lunette = require "lunette"
      local engine = assert(lunette.open { events = "memory:",
        models = "memory:", stuck_ms = 20 })
      local stuck = 'string.find(("a"):rep(3000), "a-a-a-a-a-b") return '
      local function try(i)
        local _, message, code = engine:register { name = "it",
          source = stuck .. i }
        print(code, message)
      end
      try(1) try(1)
      for i = 2, 9 do try(i) end
      try(1)
      os.exit(true)
    ]] }, { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } })
    assert.equal(0, code, err)
    local lines = {}
    for line in out:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    assert.equal(11, #lines)
    for i, line in ipairs(lines) do
      assert.matches("^budget\tit: ", line)
      local what = (i == 2 or i == 11) and "is not tried again until it changes"
        or i == 10 and "is not loaded, as 8 others got stuck"
        or "its thread is left behind"
      assert.matches(what, line, 1, true)
    end
  end)
end)

-- A script stuck inside one library call, where no budget reaches it.

local helper = require "spec.helper"
local kit = require "spec.engine.engine_kit"

-- Each case runs in a process of its own, because the thread stays behind. It
-- finds `engine` with the projections "stuck" and "ledger", and these:
local prelude = [==[
local assert = require "luassert"
local helper = require "spec.helper"
local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

local source = [[
return {
  name = "stuck",
  version = 1,
  fields = { log = "text" },
  on_error = "skip",
  extract_model_id = function(event) return event.data.ids end,
  apply_to_model = function(model, event)
    local data = event.data
    model = model or { log = "" }
    model.log = model.log .. data.n .. ","
    if data.length then
      string.find(("a"):rep(data.length), "a-a-a-a-a-b")
    end
    return model
  end,
}
]]

local for_ever = 3000 -- years

-- The length that takes about a second on this machine.
local function a_second()
  local length, seconds = 50, 0
  while seconds < 0.02 do
    length = length * 5 // 4
    local before = os.clock()
    string.find(("a"):rep(length), "a-a-a-a-a-b")
    seconds = os.clock() - before
  end
  return math.floor(length * (1.2 / seconds) ^ (1 / 5))
end

local stop_ms = 400
local stores = kit.stores "%s"
local engine = kit.open(stores, {
  lease_ms = 3000,
  stuck_ms = 50,
  stop_ms = stop_ms,
  heartbeat_ms = 50,
})
kit.register(engine, source, "stuck.lua")
kit.register(engine, kit.ledger())

local function append(first, last, length)
  for n = first, last do
    kit.append(engine, { { n = n, ids = "a", length = n == 2 and length } })
  end
end

local function wait_stuck()
  helper.wait(function()
    local waiting = kit.status(engine, "stuck").waiting_for
    return waiting ~= lunette.null
      and waiting:find "stuck in a library call"
  end)
end

-- The thread that is left behind bears the projection's name.
local function has_thread(name)
  local pid = helper.read_file("/proc/self/stat"):match "^%%d+"
  local names = io.popen("cat /proc/" .. pid .. "/task/*/comm 2>/dev/null")
  local list = names:read "a"
  names:close()
  return ("\n" .. list):find("\n" .. name .. "\n", 1, true) ~= nil
end

]==]

local cases = {
  { "is named in the status, while the others go on", [[
    append(1, 3, for_ever)
    assert(engine:start())
    wait_stuck()
    assert(engine:wait { projection = "ledger" })
    assert.equal("1,2,3,", engine:get("ledger", "a").log)
    append(4, 4)
    assert(engine:wait { projection = "ledger" })
    assert.equal("1,2,3,4,", engine:get("ledger", "a").log)
    assert.equal(lunette.null, kit.status(engine, "ledger").waiting_for)
  ]] },

  { "keeps no stop from ending, and has committed nothing", [[
    append(1, 3, for_ever)
    assert(engine:start())
    wait_stuck()
    local before = helper.now_ms()
    local ok, message, code = engine:stop()
    assert.is_true(helper.now_ms() - before < 20 * stop_ms)
    assert.is_nil(ok)
    assert.equal("timeout", code)
    assert.matches("stuck is stuck in a library call", message)
    assert.is_nil((engine:get("stuck", "a")))
    assert.same({}, engine:skipped "stuck")
    local status = kit.status(engine, "stuck")
    assert.equal("failed", status.state)
    assert.equal("0", status.position)
    assert.matches("restart the process", status.last_error)
    assert.equal("stopped", kit.status(engine, "ledger").state)
  ]] },

  { "fails a run to the head, which the others reach", [[
    append(1, 3, for_ever)
    local ok, message, code = engine:run_once()
    assert.is_nil(ok)
    assert.equal("budget", code)
    assert.matches("^stuck: its script is stuck in a library call", message)
    assert.equal("1,2,3,", engine:get("ledger", "a").log)
    assert.is_nil((engine:get("stuck", "a")))
  ]] },

  { "stays behind, and keeps nobody else from running again", [[
    append(1, 3, for_ever)
    assert.is_nil((engine:run_once()))
    append(4, 4)
    local ok, message = engine:run_once()
    assert.is_nil(ok)
    assert.matches("^stuck: its script is stuck", message)
    assert.equal("1,2,3,4,", engine:get("ledger", "a").log)

    append(5, 5)
    assert(engine:start())
    assert(engine:wait { projection = "ledger" })
    assert.equal("1,2,3,4,5,", engine:get("ledger", "a").log)
    for _, use in ipairs {
      function() return engine:step "stuck" end,
      function() return engine:pause("stuck", 1) end,
      function() return engine:register { source = source } end,
      function() return engine:wait { projection = "stuck" } end,
    } do
      local done, why = use()
      assert.is_nil(done)
      assert.matches("stuck", why)
    end
  ]] },

  { "leaves a lease that runs out, although the others run on", [[
    append(1, 3, for_ever)
    assert.is_nil((engine:run_once()))
    assert(engine:start())
    if stores.models:find "^postgres" then
      local other = kit.open(stores)
      kit.register(other, (source:gsub("data.length then", "false then")))
      helper.wait(function()
        return (other:step "stuck")
      end)
      assert.equal("1,2,3,", other:get("stuck", "a").log)
    end
    append(4, 4)
    assert(engine:wait { projection = "ledger" })
  ]] },

  { "costs its thread alone, also where there are as many as threads", [[
    append(1, 3, for_ever)
    for i = 1, 7 do
      kit.register(engine, (source:gsub('"stuck"', '"stuck_' .. i .. '"')))
    end
    kit.register(engine, kit.ledger { name = "late" })
    assert(engine:start())
    for _, name in ipairs { "ledger", "late" } do
      assert(engine:wait { projection = name, timeout = 60 })
      assert.equal("1,2,3,", engine:get(name, "a").log)
    end
    append(4, 4)
    assert(engine:wait { projection = "late", timeout = 60 })
    assert.equal("1,2,3,4,", engine:get("late", "a").log)
    wait_stuck()
  ]] },

  { "is closed over in the time of one, however many there are", [[
    append(1, 3, for_ever)
    for i = 1, 5 do
      kit.register(engine, (source:gsub('"stuck"', '"stuck_' .. i .. '"')))
    end
    assert(engine:start())
    wait_stuck()
    local before = helper.now_ms()
    engine:close()
    assert.is_true(helper.now_ms() - before < 4 * stop_ms)
  ]] },

  { "commits nothing when it wakes up after all", [[
    append(1, 2, a_second())
    assert.is_nil((engine:run_once()))
    assert.is_true(has_thread "stuck")
    helper.wait(function()
      return not has_thread "stuck"
    end, 60)
    assert.is_nil((engine:get("stuck", "a")))
    assert.equal("0", kit.status(engine, "stuck").position)
    assert.equal("failed", kit.status(engine, "stuck").state)
  ]] },

  { "goes on when it comes back by itself", [[
    append(1, 2, a_second())
    assert(engine:start())
    wait_stuck()
    assert(engine:wait { projection = "stuck", timeout = 60 })
    assert.equal("1,2,", engine:get("stuck", "a").log)
    helper.wait(function()
      return kit.status(engine, "stuck").waiting_for == lunette.null
    end)
  ]] },
}

for _, kind in ipairs(kit.kinds) do
  describe("a stuck script on " .. kind .. " stores #threads", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    for _, case in ipairs(cases) do
      local words, body = table.unpack(case)

      it(words, function()
        local program = helper.write_file(helper.tmpdir() .. "/case.lua",
          prelude:format(kind) .. body .. '\nprint "done"')
        local code, stdout, stderr = helper.run({ "lua5.4", program }, {
          env = { LUA_PATH = package.path, LUA_CPATH = package.cpath },
          cwd = helper.root,
        })
        assert.equal("", stderr)
        assert.equal("done\n", stdout)
        assert.equal(0, code)
      end)
    end
  end)
end

describe("the command with a stuck script #threads", function()
  it("ends, and says which it was", function()
    local folder = helper.tmpdir()
    local events = "sqlite:" .. folder .. "/events.db"
    local models = "sqlite:" .. folder .. "/models.db"
    helper.write_file(folder .. "/stuck.lua", [[return {
      name = "stuck",
      version = 1,
      extract_model_id = function() return "a" end,
      apply_to_model = function()
        return { found = (("a"):rep(3000):find "a-a-a-a-a-b") }
      end,
    }]])
    local engine = kit.open { events = events, models = models }
    kit.append(engine, { { n = 1 } })
    local before = helper.now_ms()
    local code, _, stderr = helper.run {
      helper.lunette, "run", "--once", "--events", events,
      "--models", models, "--projections", folder,
      "--stuck-ms=50", "--stop-ms=400",
    }
    assert.is_true(helper.now_ms() - before < 10000)
    assert.equal(1, code)
    assert.matches("stuck: its script is stuck in a library call", stderr)
    local status = kit.status(engine, "stuck")
    assert.equal("failed", status.state)
    assert.matches("restart the process", status.last_error)
    assert.equal("0", status.position)
    kit.close_all()
  end)
end)

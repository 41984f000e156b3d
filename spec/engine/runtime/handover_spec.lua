-- Two `lunette run` on the same stores in PostgreSQL: each projection runs in
-- one of them. The owner is killed, frozen, cut off, stopped; the other takes
-- over within the lease, and no event is lost or applied twice.

local helper = require "spec.helper"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"
local proxies = require "proxy_test"
local workplace = require "spec.engine.cli.workplace"

local server, why = postgres.start()

local LEASE_MS = 1500
local SLACK_MS = 6000 -- to notice, to start, on a busy machine

local SCRIPT = [[
return {
  name = "ledger",
  version = 1,
  fields = { total = "integer", log = "text" },
  extract_model_id = function(event) return event.data.ids end,
  apply_to_model = function(model, event)
    model = model or { total = 0, log = "" }
    model.total = model.total + event.data.n
    model.log = model.log .. event.data.n .. ","
    return model
  end,
}
]]

describe("two engines on one model store #postgres #threads", function()
  if not server then
    pending(why)
    return
  end

  local database = server:new_database()
  local schemas = 0
  local place, writer, proxy, proxied, direct, appended, running

  before_each(function()
    schemas = schemas + 1
    direct = database:with("schema=h" .. schemas)
    local dir = helper.tmpdir()
    proxy = proxies.start(dir .. "/.s.PGSQL.5432",
      server.dir .. "/.s.PGSQL.5432")
    proxied = direct:gsub("host=[^&]*", "host=" .. dir)
    place = workplace.new()
    place:write("projections/ledger.lua", SCRIPT)
    place.env.LUNETTE_EVENTS = direct
    place.env.LUNETTE_MODELS = direct
    place.env.LUNETTE_LEASE_MS = tostring(LEASE_MS)
    place.env.LUNETTE_HEARTBEAT_MS = "100"
    place.env.LUNETTE_CALL_TIMEOUT_MS = "2000"
    writer = assert(lunette.open { events = direct, models = "memory:" })
    appended, running = 0, {}
  end)

  after_each(function()
    proxy:resume()
    for _, engine in ipairs(running) do
      engine:kill "CONT"
      engine:kill "KILL"
      engine:wait()
    end
    writer:close()
    proxy:close()
  end)

  local function append(count)
    local events = {}
    for i = 1, count do
      appended = appended + 1
      events[i] = { stream = "s", type = "Noted",
        data = { n = appended, ids = { "all", "m" .. appended % 7 } } }
    end
    assert(writer:append(events))
  end

  -- Through the proxy, or straight to the server.
  local function start(through, env)
    local all = { LUNETTE_MODELS = through and proxied or nil }
    for name, value in pairs(env or {}) do
      all[name] = value
    end
    local engine = place:spawn({ "run" }, { env = all })
    running[#running + 1] = engine
    return engine
  end

  -- Nothing before the first engine has made the tables.
  local function status()
    local code, out, err = place:run { "status", "--json" }
    if err:find("no models yet", 1, true) then
      return nil
    end
    assert(code == 0, err)
    return lunette.decode(out)[1]
  end

  local function owns(engine)
    local owner = (status() or {}).owner
    return type(owner) == "string"
      and owner:find("process " .. engine:pid() .. " on", 1, true)
  end

  local function wait_owner(engine, seconds)
    return helper.wait(function()
      return owns(engine)
    end, seconds)
  end

  local function wait_caught_up(seconds)
    helper.wait(function()
      local total = database:sql(([[
        SELECT coalesce(max(total), 0) FROM h%d.ledger WHERE id = 'all']])
        :format(schemas))
      return tonumber(total) == appended * (appended + 1) // 2
    end, seconds)
  end

  -- Every event, once, in order.
  local function check()
    wait_caught_up()
    local logs = {}
    for n = 1, appended do
      for _, id in ipairs { "all", "m" .. n % 7 } do
        logs[id] = (logs[id] or "") .. n .. ","
      end
    end
    local found = {}
    for line in database:sql(([[
      SELECT id || '=' || log FROM h%d.ledger]]):format(schemas))
      :gmatch "[^\n]+" do
      local id, log = line:match "^(.-)=(.*)$"
      found[id] = log
    end
    assert.same(logs, found)
  end

  -- The first one owns the ledger, the second stands by.
  local function pair(through)
    append(20)
    local first = start(through)
    wait_owner(first)
    wait_caught_up()
    local second = start()
    helper.wait(function()
      return second:stderr():find("ledger: standby", 1, true)
    end)
    assert.truthy(owns(first))
    return first, second
  end

  -- From here until the second owns and has applied what is there.
  local function takes_over(engine, limit_ms)
    local began = helper.now_ms()
    append(20)
    wait_caught_up(30)
    local taken = helper.now_ms() - began
    assert.is_true(taken < limit_ms, "took over after " .. taken .. " ms")
    wait_owner(engine)
  end

  it("hand over at once when the owner is asked to stop", function()
    place.env.LUNETTE_LEASE_MS = "60000"
    local first, second = pair()
    first:kill "TERM"
    assert.equal(0, first:wait())
    takes_over(second, SLACK_MS)
    check()
  end)

  it("hand over within the lease when the owner is killed", function()
    local first, second = pair()
    first:kill "KILL"
    takes_over(second, LEASE_MS + SLACK_MS)
    check()
  end)

  it("hand over within the lease when the owner is frozen", function()
    local first, second = pair()
    first:kill "STOP"
    takes_over(second, LEASE_MS + SLACK_MS)
    first:kill "CONT"
    helper.wait(function()
      return first:stderr():find("ledger: standby", 1, true)
    end)
    append(20)
    check()
    assert.truthy(owns(second))
    second:kill "TERM"
    assert.equal(0, second:wait())
    takes_over(first, SLACK_MS)
    check()
  end)

  for where, pattern in pairs {
    ["before it moves the checkpoint"] = "\0WITH moved",
    ["inside a message"] = "moved AS (UPDATE",
    ["just before its end"] = "\0COMMIT\0",
  } do
    it("hand over when the owner is frozen in a commit, " .. where, function()
      local first, second = pair(true)
      proxy:rule(pattern, "stall")
      append(20)
      helper.wait(function()
        return proxy:fired()
      end)
      first:kill "STOP"
      takes_over(second, LEASE_MS + SLACK_MS)
      first:kill "CONT"
      proxy:resume()
      helper.wait(function()
        return first:stderr():find("ledger: standby", 1, true)
      end)
      append(20)
      check()
      assert.truthy(owns(second))
    end)
  end

  it("hand over when the owner is cut off from the server", function()
    local first, second = pair(true)
    proxy:stall()
    takes_over(second, LEASE_MS + SLACK_MS)
    proxy:resume()
    helper.wait(function()
      return first:stderr():find("ledger: standby", 1, true)
    end)
    append(20)
    check()
    assert.truthy(owns(second))
  end)

  -- The ownership stays where it is, however busy the machine, and the monitor,
  -- which commits too, seldom does: the answers are those of the projection.
  it("lose nothing to answers that are lost", function()
    place.env.LUNETTE_LEASE_MS = "60000"
    place.env.LUNETTE_HEARTBEAT_MS = "60000"
    local first = pair(true)
    for _, mode in ipairs { "after", "before", "late", "after" } do
      proxy:rule("\0COMMIT\0", mode)
      append(5)
      helper.wait(function()
        return proxy:fired()
      end)
      append(5)
      wait_caught_up()
      proxy:let_go()
    end
    check()
    assert.truthy(owns(first))
    assert.is_nil(first:stderr():find "failed")
  end)

  it("share the projections between them", function()
    place:write("projections/other.lua",
      (SCRIPT:gsub('"ledger"', '"other"')))
    append(20)
    local first = start()
    wait_owner(first)
    wait_caught_up()
    local second = start()
    helper.wait(function()
      return second:stderr():find("other: standby", 1, true)
    end)
    assert.matches("OWNER", place:done { "status" })
    local shown = 0
    for line in place:done { "status" }:gmatch "[^\n]+" do
      if line:find("process " .. first:pid() .. " on", 1, true) then
        shown = shown + 1
      end
    end
    assert.equal(2, shown)
    check()
  end)
end)

-- All of it through PgBouncer in transaction mode.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local proxies = require "proxy_test"
local contract = require "spec.stores.event_store_contract"

local server, reason = postgres.start()
local pooler
if server then
  pooler, reason = server:pooler()
end

describe("a postgres event store behind a pooler #postgres", function()
  if not pooler then
    pending(reason)
    return
  end

  local database = server:new_database()
  local schemas = 0

  teardown(function()
    pooler:stop()
  end)

  local function new_url(query)
    schemas = schemas + 1
    return pooler:url(database.name,
      "schema=pooled_" .. schemas .. (query and "&" .. query or ""))
  end

  contract {
    url = new_url,
    options = { busy_timeout_ms = 50 },
    side_by_side = true,
    polled = true,
    start = "0:0",
    far = "4611686018427387904:1",
    texts = { good = { "7:12" }, bad = { "7" } },
  }

  it("says that there will be no hints", function()
    local store = assert(event_store.open(new_url()))
    assert.matches("a pooler stands before the server", store:remark())
    assert.equal(-1, store:wake_fd())
    store:close()
    local direct = assert(event_store.open(database.url))
    assert.is_nil(direct:remark())
    direct:close()
  end)

  it("has that said by lunette run", function()
    local place = helper.tmpdir()
    helper.write_file(place .. "/none.lua", [[
      return {
        name = "none",
        version = 1,
        extract_model_id = function() end,
        apply_to_model = function() end,
      }]])
    local runner = helper.spawn {
      helper.lunette, "run", "--projections", place .. "/none.lua",
      "--events", new_url(), "--models", "memory:",
    }
    helper.wait(function()
      return runner:stderr():find("none: live", 1, true)
    end)
    runner:kill "TERM"
    assert.equal(0, runner:wait())
    assert.matches("a pooler stands before the server", runner:stderr())
  end)

  it("has hints through a direct URL", function()
    local direct = database.url:gsub("[^%w]", function(c)
      return ("%%%02x"):format(c:byte())
    end)
    local store = assert(event_store.open(new_url("listen=" .. direct)))
    assert.is_nil(store:remark())
    assert.is_true(store:wake_fd() >= 0)
    helper.wait(function()
      store:drain()
      return not store:wait(0) and database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%']] == "1"
    end)
    assert(store:append { { stream = "a", type = "T", data = "1" } })
    assert.is_true(store:wait(10000))
    store:close()
  end)

  it("tells once that a direct URL leads nowhere, and that it works again",
    function()
      local dir = helper.tmpdir()
      local direct = database.url:gsub("host=[^&]*", "host=" .. dir)
        :gsub("[^%w]", function(c)
          return ("%%%02x"):format(c:byte())
        end)
      local url = new_url("listen=" .. direct)
      assert(event_store.open(url)):close()
      local place = helper.tmpdir()
      helper.write_file(place .. "/none.lua", [[
        return { name = "none", version = 1,
          extract_model_id = function() end,
          apply_to_model = function() end }]])
      local runner = helper.spawn { helper.lunette, "run", "--projections",
        place .. "/none.lua", "--events", url, "--models", "memory:" }
      local function said(words)
        return function()
          return runner:stderr():find(words, 1, true)
        end
      end
      helper.wait(said("warning events: LISTEN failed, so new events are "
        .. "found by polling alone: "))
      local proxy = proxies.start(dir .. "/.s.PGSQL.5432",
        server.dir .. "/.s.PGSQL.5432")
      helper.wait(said "warning events: LISTEN works again")
      runner:kill "TERM"
      assert.equal(0, runner:wait())
      assert.equal(1, select(2, runner:stderr():gsub("LISTEN failed", "")))
      proxy:close()
    end)

  it("leaves nothing at work behind that it did not wait for", function()
    local other = server:new_database()
    assert(event_store.open(other.url)):append {
      { stream = "a", type = "T", data = "1" },
    }
    other:sql [[
      CREATE VIEW slow AS
      SELECT e.*, '"' || pg_sleep(60) || '"' AS pause FROM lunette_events e]]
    local query = "layout=custom&table=slow&position=position&transaction_id="
      .. "transaction_id&id=id&stream=stream&version=version&type=type"
      .. "&data=data&metadata=pause"
    local store = assert(event_store.open(pooler:url(other.name, query),
      { call_timeout_ms = 500 }))
    for _ = 1, 3 do
      assert.equal("unavailable", select(3, store:read {}))
    end
    helper.wait(function()
      return other:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active'
          AND pid <> pg_backend_pid()]] == "0"
    end)
    store:close()
  end)

  -- The server behind it may be another one by then.
  it("asks for the safe head with each batch", function()
    local other = server:new_database()
    local store = assert(event_store.open(pooler:url(other.name)))
    other:sql(("ALTER DATABASE %s SET enable_sort = off"):format(other.name))
    local function append()
      other:sql [[INSERT INTO lunette_events (stream, version, type, data)
        SELECT gen_random_uuid(), 1, 'A', '{}' FROM generate_series(1, 15)]]
    end
    local request = { max = 10, to_head = true }
    append()
    local page = assert(store:read(request))
    append()
    request.after, request.state = page.reached, page.state
    page = assert(store:read(request))
    assert.equal(10, #page)
    store:close()
  end)

  it("goes on after the pooler was away", function()
    local store = assert(event_store.open(new_url()))
    assert(store:append { { stream = "a", type = "T", data = "1" } })
    pooler:stop()
    assert.equal("unavailable", select(3, store:read {}))
    pooler:start()
    assert.equal(1, #assert(store:read {}))
    store:close()
  end)
end)

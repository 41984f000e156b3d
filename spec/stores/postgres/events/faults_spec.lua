-- Servers that stop, connections that end, answers that do not come: a call
-- says "unavailable", nothing is lost or doubled, and the next one goes on.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local proxies = require "proxy_test"

local server, reason = postgres.own()

describe("a postgres event store with faults #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local database, store

  before_each(function()
    if not server.running then
      server:start()
    end
    database = server:new_database()
    store = assert(event_store.open(database.url))
  end)

  after_each(function()
    store:close()
  end)

  local function events_of(stream, count)
    local events = {}
    for i = 1, count do
      events[i] = { stream = stream, type = "Moved", data = tostring(i) }
    end
    return events
  end

  local function refused(code, words, result, message, actual)
    assert.is_nil(result)
    assert.equal(code, actual)
    assert.matches(words, message)
  end

  local function data_of(page)
    local list = {}
    for i, event in ipairs(page) do
      list[i] = event.data
    end
    return table.concat(list, " ")
  end

  -- The same events, but slowly: a row each hundredth of a second.
  local function slow_store(options)
    database:sql [[
      CREATE VIEW slow AS
      SELECT e.*, '0' || pg_sleep(0.01)::text AS pause FROM lunette_events e]]
    return assert(event_store.open(database:with(
      "layout=custom&table=slow&position=position&transaction_id="
        .. "transaction_id&id=id&stream=stream&version=version&type=type"
        .. "&data=data&metadata=pause"), options))
  end

  -- Run a command of the shell once the slow store is in the middle of it.
  local function in_the_middle(command)
    return helper.spawn { "/bin/sh", "-c", ([[
      until %s/psql -X -q -A -t -h %s -U postgres -d %s -c "
          SELECT pid FROM pg_stat_activity WHERE state = 'active'
          AND query LIKE '%%\"slow\"%%' AND query LIKE '%%LIMIT%%'
          AND pid <> pg_backend_pid()
          AND now() - query_start > interval '50 ms'" | grep -q .; do
        :
      done
      %s]]):format(server.bin, server.dir, database.name, command) }
  end

  it("goes on after the server was stopped and started", function()
    assert(store:append(events_of("a", 5)))
    local first = assert(store:read { max = 2 })
    server:stop "immediate"
    local request = { after = first.reached, state = first.state }
    refused("unavailable", "postgres://", store:read(request))
    refused("unavailable", "postgres://", store:read(request))
    refused("unavailable", "", store:append(events_of("b", 1)))
    refused("unavailable", "", event_store.open(database.url))
    server:start()
    assert.equal("3 4 5", data_of(assert(store:read(request))))
    assert(store:append(events_of("b", 1)))
    assert.equal(6, #assert(store:read {}))
  end)

  it("goes on after the server was stopped in the middle of a read",
    function()
      assert(store:append(events_of("a", 200)))
      local slow = slow_store()
      local stopper = in_the_middle(table.concat(server.unprivileged {
        server.bin .. "/pg_ctl", "-D", server.data, "-m", "immediate", "-w",
        "-s", "stop",
      }, " "))
      refused("unavailable", "", slow:read {})
      assert.equal(0, stopper:wait())
      server.running = false
      refused("unavailable", "", slow:read {})
      server:start()
      assert.equal(200, #assert(slow:read {}))
      slow:close()
    end)

  it("goes on after its backend was terminated in the middle of a read",
    function()
      assert(store:append(events_of("a", 200)))
      local slow = slow_store()
      local killer = in_the_middle(([[%s/psql -X -q -h %s -U postgres -d %s -c
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE query LIKE '%%slow%%' AND pid <> pg_backend_pid()"]])
        :format(server.bin, server.dir, database.name):gsub("\n%s*", " "))
      refused("unavailable", "administrator", slow:read {})
      assert.equal(0, killer:wait())
      assert.equal(200, #assert(slow:read {}))
      slow:close()
    end)

  it("tells of a terminated connection once, then has another", function()
    assert(store:append(events_of("a", 1)))
    assert.equal(1, database:terminate())
    refused("unavailable", "", store:read {})
    assert.equal(1, #assert(store:read {}))
  end)

  it("loses a transaction with its connection, wholly", function()
    assert(store:begin())
    assert(store:append(events_of("a", 1)))
    database:terminate()
    refused("unavailable", "", store:append(events_of("a", 1)))
    refused("invalid", "rolled back", store:commit())
    assert(store:append(events_of("a", 1)))
    assert.equal(1, #assert(store:read {}))
  end)

  it("goes on after the socket was away", function()
    assert(store:append(events_of("a", 1)))
    local socket = server.dir .. "/.s.PGSQL.5432"
    assert(os.rename(socket, socket .. ".away"))
    assert.equal(1, #assert(store:read {}))
    -- The shell cannot get in either, so the server ends the connection.
    local pid = helper.read_file(server.data .. "/postmaster.pid"):match "%d+"
    helper.run("pkill -TERM -P " .. pid .. " -f 'postgres: postgres "
      .. database.name .. "'")
    helper.wait(function()
      local page, _, code = store:read {}
      return not page and code == "unavailable"
    end)
    refused("unavailable", "No such file", store:read {})
    assert(os.rename(socket .. ".away", socket))
    assert.equal(1, #assert(store:read {}))
  end)

  it("does not wait longer than call_timeout_ms for an answer", function()
    assert(store:append(events_of("a", 1)))
    local hasty =
      assert(event_store.open(database.url, { call_timeout_ms = 1000 }))
    local pids = database:sql [[
      SELECT string_agg(pid::text, ' ') FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette']]
    helper.run("kill -STOP " .. pids)
    local before = helper.now_ms()
    refused("unavailable", "did not answer within 1000 ms", hasty:read {})
    assert.is_true(helper.now_ms() - before < 5000)
    assert.equal(1, #assert(hasty:read {}))
    helper.run("kill -CONT " .. pids)
    hasty:close()
  end)

  it("does not wait longer than that for rows that stop to come", function()
    assert(store:append(events_of("a", 3)))
    database:sql [[
      CREATE VIEW slow AS
      SELECT e.*, '"' || pg_sleep(version - 1) || '"' AS pause
      FROM lunette_events e]]
    local hasty = assert(event_store.open(database:with(
      "layout=custom&table=slow&position=position&transaction_id="
        .. "transaction_id&id=id&stream=stream&version=version&type=type"
        .. "&data=data&metadata=pause"), { call_timeout_ms = 1500 }))
    refused("unavailable", "did not answer within 1500 ms", hasty:read {})
    hasty:close()
  end)

  it("leaves nothing at work behind that it did not wait for", function()
    assert(store:append(events_of("a", 1)))
    database:sql [[
      CREATE VIEW slow AS
      SELECT e.*, '"' || pg_sleep(60) || '"' AS pause FROM lunette_events e]]
    local query = "layout=custom&table=slow&position=position&transaction_id="
      .. "transaction_id&id=id&stream=stream&version=version&type=type"
      .. "&data=data&metadata=pause"
    local hasty = assert(event_store.open(database:with(query),
      { call_timeout_ms = 500 }))
    for _ = 1, 3 do
      refused("unavailable", "did not answer within 500 ms", hasty:read {})
    end
    helper.wait(function()
      return database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active'
          AND pid <> pg_backend_pid()]] == "0"
    end)
    hasty:close()
  end)

  it("is not held up by a network that stands still", function()
    local dir = helper.tmpdir()
    local proxy = proxies.start(dir .. "/.s.PGSQL.5432",
      server.dir .. "/.s.PGSQL.5432")
    assert(store:append(events_of("a", 1)))
    local hasty = assert(event_store.open(
      (database.url:gsub("host=[^&]*", "host=" .. dir)),
      { call_timeout_ms = 500 }))
    proxy:stall()
    local before = helper.now_ms()
    for _ = 1, 8 do
      refused("unavailable", "did not answer within 500 ms", hasty:read {})
    end
    assert.is_true(helper.now_ms() - before < 8 * 500 + 2000)
    proxy:resume()
    assert.equal(1, #assert(hasty:read {}))
    hasty:close()
    proxy:close()
  end)

  it("knows that a commit was done whose answer was lost", function()
    local other = server:new_database()
    other:sql("ALTER DATABASE " .. other.name
      .. " SET synchronous_commit = 'remote_apply'")
    local writer = assert(event_store.open(other.url))
    server:sql("postgres",
      "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server:sql("postgres", "SELECT pg_reload_conf()")
    local killer = helper.spawn { "/bin/sh", "-c", ([[
      until %s/psql -X -q -A -t -h %s -U postgres -d postgres -c "
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = '%s' AND wait_event = 'SyncRep'" | grep -q t; do
        :
      done]]):format(server.bin, server.dir, other.name) }
    local results, message = writer:append(events_of("a", 1))
    killer:wait()
    server:sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names")
    server:sql("postgres", "SELECT pg_reload_conf()")
    assert(results, message)
    assert.equal(1, #assert(writer:read {}))
    writer:close()
  end)

  it("knows that a commit was not done whose answer was lost", function()
    database:sql [[
      CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(20); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER wait_here AFTER INSERT ON lunette_events
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      EXECUTE FUNCTION wait_here()]]
    local killer = helper.spawn { "/bin/sh", "-c", ([[
      until %s/psql -X -q -A -t -h %s -U postgres -d postgres -c "
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = '%s' AND query = 'COMMIT' AND state = 'active'" \
          | grep -q t; do
        :
      done]]):format(server.bin, server.dir, database.name) }
    refused("unavailable", "nothing was written",
      store:append(events_of("a", 1)))
    killer:wait()
    assert.equal(0, #assert(store:read {}))
  end)

  it("is not slowed by a listening connection that died", function()
    local function ears()
      return tonumber(database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%']])
    end
    store:wake_fd()
    helper.wait(function()
      store:drain()
      return ears() == 1
    end)
    database:sql [[
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE 'LISTEN%']]
    helper.wait(function()
      return store:wait(0)
    end)
    store:drain()
    assert.is_false(store:wait(0)) -- it does not ring all the time
    local before = helper.now_ms()
    assert(store:append(events_of("a", 1)))
    assert.equal(1, #assert(store:read {}))
    assert.is_true(store:wake_fd() >= 0)
    assert.is_true(helper.now_ms() - before < 1000)
    helper.wait(function() -- and after a while it listens again
      store:wake_fd()
      store:drain()
      return ears() == 1
    end)
  end)

  it("says that a full disk is one", function()
    local small = server.dir .. "/small"
    helper.mkdir(small)
    local mounted =
      helper.run { "mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", small }
    if mounted ~= 0 then
      pending "needs the right to mount a small file system"
      return
    end
    helper.run { "chown", "postgres", small }
    server:sql("postgres", "CREATE TABLESPACE small LOCATION '"
      .. small .. "'")
    -- Room for what the server itself has still to write at the end.
    local ballast = small .. "/ballast"
    helper.write_file(ballast, ("\0"):rep(1 << 21))
    local full = server:new_database "TABLESPACE small"
    local writer = assert(event_store.open(full.url))
    local big = '"' .. ("0123456789abcdef"):rep(1 << 14) .. '"'
    local function fill()
      for i = 1, 200 do
        local done, message, code = writer:append {
          { stream = "a", type = "Big", data = '"' .. i .. big:sub(2) },
        }
        if not done then
          return message, code
        end
      end
    end
    full:sql "ALTER TABLE lunette_events ALTER data SET STORAGE EXTERNAL"
    local message, code = fill()
    local kept = writer:count {}
    writer:close()
    assert(os.remove(ballast))
    full:drop()
    server:sql("postgres", "DROP TABLESPACE small")
    helper.run { "umount", small }
    assert.equal("io", code)
    assert.matches("the disk of the server is full", message)
    assert.is_true(kept > 0)
  end)
end)

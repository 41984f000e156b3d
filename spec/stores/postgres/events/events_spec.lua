local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local pg_session = require "pg_session"
local workplace = require "spec.engine.cli.workplace"
local contract = require "spec.stores.event_store_contract"

local server, reason = postgres.start()

describe("a postgres event store #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local shared = server:new_database()
  local schemas = 0

  contract {
    url = function()
      schemas = schemas + 1
      return shared:with("schema=contract_" .. schemas)
    end,
    options = { busy_timeout_ms = 50 },
    side_by_side = true,
    start = "0:0",
    far = "4611686018427387904:1",
    texts = {
      good = { "0:0", "1:0", "7:12", "9223372036854775807:1" },
      bad = {
        "", "1", ":", "1:", ":1", "1:-1", "1:1:1", " 1:1", "1:1 ", "a:b",
        "9223372036854775808:1", "1:9223372036854775808", "1:1\0",
      },
    },
    listening = function()
      return shared:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'
          AND state = 'idle']] ~= "0"
    end,
  }

  local database, store

  before_each(function()
    database = server:new_database()
    store = assert(event_store.open(database.url))
  end)

  after_each(function()
    store:close()
  end)

  local function open(query, user)
    return event_store.open(database:with(query, user))
  end

  local function append(stream, count)
    local events = {}
    for i = 1, count or 1 do
      events[i] = { stream = stream, type = "Moved", data = tostring(i) }
    end
    return assert(store:append(events))
  end

  local function column(events, name)
    local values = {}
    for i, found in ipairs(events) do
      values[i] = found[name]
    end
    return values
  end

  -- A transaction of another program, open between the calls.
  local function transaction(statements)
    local fifo = helper.tmpdir() .. "/statements"
    helper.run { "mkfifo", fifo }
    local shell = helper.spawn({
      server.bin .. "/psql", "-X", "-q", "-A", "-t", "-h", server.dir, "-U",
      server.user, "-d", database.name, "-f", fifo,
    })
    local pipe = assert(io.open(fifo, "w"))
    pipe:setvbuf "line"
    pipe:write("BEGIN; ", statements, " SELECT 'done';\n")
    helper.wait(function()
      return shell:stdout():find "done"
    end)
    return function(last)
      pipe:write(last, ";\n")
      pipe:close()
      assert(shell:wait() == 0, shell:stderr())
    end
  end

  describe("as a table", function()
    it("takes events by its function", function()
      assert.equal("1", database:sql
        "SELECT lunette_append('a', 'Opened', '{\"x\": 1.50}')")
      assert.equal("2", database:sql [[
        SELECT lunette_append('a', 'Moved', '2', '{"by": "me"}',
          expected_version => 1, id => 'second',
          recorded_at => '2026-01-02T03:04:05.000006Z')]])
      local page = assert(store:read {})
      assert.same({ '{"x": 1.50}', "2" }, column(page, "data"))
      assert.same({ 1, 2 }, column(page, "version"))
      assert.equal("second", page[2].id)
      assert.equal('{"by": "me"}', page[2].metadata)
      assert.equal(1767323045000006, page[2].recorded_at)
      assert.equal(36, #page[1].id)
    end)

    it("takes an id once by its function", function()
      database:sql "SELECT lunette_append('a', 'Moved', '1', id => 'x')"
      assert.equal("1", database:sql
        "SELECT lunette_append('b', 'Moved', '1', id => 'x')")
      assert.equal(1, #assert(store:read {}))
    end)

    it("refuses a wrong version by its function", function()
      append("a", 3)
      local done, message = pcall(database.sql, database, [[
        SELECT lunette_append('a', 'Moved', '1', expected_version => 2)]])
      assert.is_false(done)
      assert.matches("stream a is at version 3, expected 2", message)
      assert.equal(3, #assert(store:read {}))
    end)

    it("takes rows of any program, with defaults", function()
      database:sql [[
        INSERT INTO lunette_events (stream, version, type, data)
        VALUES ('a', 1, 'Opened', 'null')]]
      local page = assert(store:read {})
      assert.equal("null", page[1].data)
      assert.is_true(
        math.abs(page[1].recorded_at - os.time() * 1000000) < 600 * 1000000)
    end)

    it("may hold jsonb", function()
      database:sql [[
        ALTER TABLE lunette_events
          ALTER data TYPE jsonb, ALTER metadata TYPE jsonb]]
      local other = assert(open())
      assert(other:append {
        { stream = "a", type = "T", data = '{"a":1}', metadata = "{}" },
        { stream = "a", type = "T", data = '"\\u0000"' },
      } == nil)
      assert(other:append {
        { stream = "a", type = "T", data = '{"a":1}', metadata = "{}" },
      })
      local page = assert(other:read {})
      assert.equal('{"a": 1}', page[1].data)
      assert.equal("{}", page[1].metadata)
      other:close()
    end)

    it("may be in a schema of its own, beside others", function()
      local one = assert(open "schema=one")
      local two = assert(open "schema=two")
      assert(one:append { { stream = "a", type = "T", data = "1" } })
      assert.equal(1, #assert(one:read {}))
      assert.equal(0, #assert(two:read {}))
      assert.are_not.equal(one:identity(), two:identity())
      one:close()
      two:close()
    end)

    it("is not made where it must exist", function()
      local there, message, code =
        event_store.open(database:with "schema=typo", { must_exist = true })
      assert.is_nil(there)
      assert.equal("config", code)
      assert.matches('holds no events, as schema "typo" has no table '
        .. "lunette_events", message, 1, true)
      assert.equal("0", database:sql
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'typo'")
      event_store.open(database.url, { must_exist = true }):close()
    end)

    it("is made once by many at a time", function()
      local code = helper.run(("all=; for i in 1 2 3 4 5 6; do "
        .. "%s -e '%s' & all=\"$all $!\"; done; "
        .. "for one in $all; do wait $one || exit 1; done"):format("lua5.4", ([[
          package.path = "./?.lua;" .. package.path
          require "spec.helper"
          assert(require "event_store_test".open("%s")):close()
        ]]):format(database:with "schema=fresh")),
        workplace.as_interpreter)
      assert.equal(0, code)
      local all = assert(open "schema=fresh")
      assert.equal("1", database:sql
        "SELECT count(*) FROM fresh.lunette_event_store")
      all:close()
    end)
  end)

  describe("reads", function()
    it("nothing of a transaction that is open, nor what came after it",
      function()
        local finish = transaction
          "SELECT lunette_append('slow', 'Moved', '1');"
        append("quick", 2)
        local page = assert(store:read {})
        assert.equal(0, #page)
        assert.is_true(page.at_head)
        assert.is_true(page.held)
        assert.matches("^%d+:3$", store:head())
        assert.equal(2, store:lag({}).events)
        finish "COMMIT"
        local events = assert(store:read {})
        assert.same({ "slow", "quick", "quick" }, column(events, "stream"))
        assert.is_nil(events.held)
      end)

    it("a filter does not pass what may still appear", function()
      append("a", 3)
      local settled = store:head()
      local finish = transaction
        "SELECT lunette_append('slow', 'Wanted', '1');"
      append("a", 2)
      local page = assert(store:read { types = { "Wanted" } })
      assert.equal(0, #page)
      assert.equal(settled, page.reached)
      finish "COMMIT"
      page = assert(store:read {
        types = { "Wanted" }, after = page.reached, state = page.state,
      })
      assert.same({ "slow" }, column(page, "stream"))
    end)

    it("in the order of the pair where the numbers go the other way",
      function()
        local finish = transaction "SELECT pg_current_xact_id();"
        append("later", 1)
        finish "SELECT lunette_append('earlier', 'Moved', '1'); COMMIT"
        local page = assert(store:read {})
        assert.same({ "earlier", "later" }, column(page, "stream"))
        local first = tonumber(page[1].position:match ":(%d+)")
        local second = tonumber(page[2].position:match ":(%d+)")
        assert.is_true(first > second)
      end)

    it("a stream in its order that goes the other way, once", function()
      local finish = transaction "SELECT pg_current_xact_id();"
      append("crossed", 1)
      finish [[INSERT INTO lunette_events (stream, version, type, data)
        VALUES ('crossed', 2, 'Moved', '2'); COMMIT]]
      append("crossed", 1)
      local page = assert(store:read {})
      assert.same({ 1, 2, 3 }, column(page, "version"))
    end)

    it("it once where there was a restart since", function()
      append("first", 1)
      local page = assert(store:read {})
      local finish = transaction "SELECT pg_current_xact_id();"
      database:sql [[
        INSERT INTO lunette_events (stream, version, type, data)
        SELECT 'filler', n, 'Moved', '1' FROM generate_series(1, 999) n]]
      append("crossed", 1)
      finish [[INSERT INTO lunette_events (stream, version, type, data)
        VALUES ('crossed', 2, 'Moved', '2'); COMMIT]]
      page = assert(store:read {
        max = 5000, after = page.reached, state = page.state,
      })
      assert.equal(1001, #page)
      append("crossed", 1)
      store:close()
      store = assert(open())
      page = assert(store:read {
        max = 5000, after = page.reached, state = page.state,
      })
      assert.same({ 3 }, column(page, "version"))
    end)

    it("names the event that breaks the rules", function()
      local one = append("a", 1)[1].position
      database:sql "UPDATE lunette_events SET recorded_at = '10000-01-01'"
      local page, message, code = store:read {}
      assert.is_nil(page)
      assert.equal("invalid", code)
      assert.matches("the event at position " .. one:gsub("%p", "%%%0"),
        message)
    end)
  end)

  describe("keeps the order of a stream", function()
    local refusal = "stream crossed: a later transaction was first, "
      .. "another event would break the order of the stream: run the whole "
      .. "transaction again"

    local function assert_ordered()
      local last = {}
      for _, event in ipairs(assert(store:read {})) do
        assert.equal((last[event.stream] or 0) + 1, event.version)
        last[event.stream] = event.version
      end
    end

    -- Runs one statement at a time, each waited for.
    local function session()
      return pg_session.open(database.url)
    end

    it("by its function, in a transaction that wrote before", function()
      local early = session()
      early:run "BEGIN"
      early:run "SELECT pg_current_xact_id()"
      append("crossed", 1)
      early:run "SELECT lunette_append('other', 'Moved', '1')"
      early:run "SAVEPOINT before"
      local done, message = pcall(early.run, early, [[
        DO $$BEGIN
          PERFORM lunette_append('crossed', 'Moved', '2');
        EXCEPTION WHEN serialization_failure THEN
          RAISE EXCEPTION 'as it should: %', SQLERRM;
        END$$]])
      assert.is_false(done)
      assert.matches("as it should: " .. refusal, message, 1, true)
      early:run "ROLLBACK TO before"
      early:run "COMMIT"
      early:run "SELECT lunette_append('crossed', 'Moved', '2')"
      early:close()
      assert_ordered()
    end)

    it("by its function, where another program appends first", function()
      local early = session()
      early:run "BEGIN"
      early:run "SELECT pg_current_xact_id()"
      early:run "SELECT lunette_append('mine', 'Moved', '1')"
      append("mine_not", 1)
      assert.equal("2",
        early:run "SELECT lunette_append('mine', 'Moved', '2')")
      early:run "COMMIT"
      early:close()
      assert_ordered()
    end)

    it("by its function, in a transaction that is prepared", function()
      local own = postgres.own {
        settings = { max_prepared_transactions = "4" },
      }
      local other = own:new_database()
      local log = assert(event_store.open(other.url))
      local early = pg_session.open(other.url)
      early:run "BEGIN"
      early:run "SELECT lunette_append('a', 'Moved', '1')"
      early:run "PREPARE TRANSACTION 'two_phases'"
      assert(log:append { { stream = "b", type = "Moved", data = "2" } })
      assert.equal(0, #assert(log:read {}))
      early:run "COMMIT PREPARED 'two_phases'"
      assert.equal(2, #assert(log:read {}))
      assert.equal("2", early:run "SELECT lunette_append('a', 'Moved', '3')")
      early:close()
      log:close()
      own:stop "immediate"
    end)

    it("by its function, and alone it never fails for that", function()
      database:sql [[
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_advisory_xact_lock(1);
          RETURN new;
        END$$;
        CREATE TRIGGER hold BEFORE INSERT ON lunette_events FOR EACH ROW
        WHEN (new.type = 'Held') EXECUTE FUNCTION hold()]]
      local holder = session()
      holder:run "SELECT pg_advisory_lock(1)"
      local function appender(type)
        return helper.spawn({
          server.bin .. "/psql", "-X", "-q", "-A", "-t", "-h", server.dir,
          "-U", server.user, "-d", database.name, "-c",
          ("SELECT lunette_append('hot', '%s', '1')"):format(type),
        })
      end
      local function waiting(count)
        helper.wait(function()
          return holder:run [[
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'advisory']]
            == count
        end)
      end
      local first = appender "Held"
      waiting "1"
      local second = appender "Quick"
      waiting "2"
      holder:close()
      assert.equal(0, first:wait(), first:stderr())
      assert.equal(0, second:wait(), second:stderr())
      assert.equal("1\n", first:stdout())
      assert.equal("2\n", second:stdout())
      assert_ordered()
    end)

    it("by the INSERT of its documentation", function()
      local text = helper.read_file "docs/event-table-postgres.md"
      local insert = text:match "(INSERT INTO lunette_events %b().-;)"
      insert = insert:gsub("account:acc%-0000001", "crossed")
      append("crossed", 6)
      local early = session()
      early:run "BEGIN"
      early:run "SELECT pg_current_xact_id()"
      append("crossed", 1)
      early:run(insert)
      early:run "COMMIT"
      assert.equal(7, #assert(store:read {}))
      early:run(insert)
      assert.equal(8, #assert(store:read {}))
      early:close()
      assert_ordered()
    end)

    it("with many streams in one transaction", function()
      local late = assert(open())
      assert(store:begin())
      assert(store:append { { stream = "a", type = "Moved", data = "1" } })
      assert(late:append { { stream = "crossed", type = "Moved", data = "1" } })
      local done, message, code = store:append {
        { stream = "a", type = "Moved", data = "2" },
        { stream = "crossed", type = "Moved", data = "2" },
      }
      assert.is_nil(done)
      assert.equal("again", code)
      assert.matches(refusal, message, 1, true)
      assert.same({ nil, "invalid" },
        { (store:commit()), (select(3, store:commit())) })
      assert.equal(1, #assert(store:read {}))
      assert(store:append {
        { stream = "a", type = "Moved", data = "2" },
        { stream = "crossed", type = "Moved", data = "2" },
      })
      late:close()
      assert_ordered()
    end)
  end)

  describe("refuses", function()
    it("to go on where the log was cut back", function()
      append("a", 3)
      local page = assert(store:read {})
      database:sql "DELETE FROM lunette_events WHERE version > 1"
      local again, message, code =
        store:read { after = page.reached, state = page.state }
      assert.is_nil(again)
      assert.equal("config", code)
      assert.matches("ends at position", message)
      assert.matches("rebuild", message)
    end)

    it("to go on where the event read last is another one", function()
      append("a", 3)
      local page = assert(store:read {})
      database:sql "UPDATE lunette_events SET id = 'new' WHERE version = 3"
      local again, message, code =
        store:read { after = page.reached, state = page.state }
      assert.is_nil(again)
      assert.equal("config", code)
      assert.matches("another event", message)
    end)

    it("transaction ids that were not given out yet", function()
      append("a", 3)
      database:sql [[
        UPDATE lunette_events SET transaction_id = '99999999'
        WHERE version = 3]]
      for _, call in ipairs { "read", "head" } do
        local done, message, code = store[call](store, {})
        assert.is_nil(done)
        assert.equal("config", code)
        assert.matches("dump of another server", message)
        assert.matches("SET transaction_id = pg_current_xact_id%(%)", message)
      end
      database:sql
        "UPDATE lunette_events SET transaction_id = pg_current_xact_id()"
      assert.equal(3, #assert(store:read {}))
    end)

    local wrong = {
      ["postgres:x"] = "write postgres://USER@HOST/DATABASE",
      ["postgres://localhost/x?colour=red"] = "colour",
      ["postgres://u:secret@localhost/x?colour=red"] = '"colour"',
      ["postgres://u:pass@secret@nowhere/x"] = "write @ as %40",
      ["postgres://u:pass/secret@nowhere/x"] = "write @ as %40",
      ["postgres://u:pass?secret@nowhere/x"] = "write @ as %40",
      ["postgres://u:pass?secret=x@nowhere/x"] = "write @ as %40",
      ["postgres://u:secret"] = "port is not a number",
      ["postgres://u:secret/x"] = "port is not a number",
      ["postgres://nowhere/x?secret/y=1"] = "no parameters, key=value",
      ["postgres://u:sec%zzret@localhost/x"] = "not valid",
      ["postgres://u@/x?host=/nowhere"] = "No such file",
      ["postgres://u@/x?schema="] = "a name has",
      ["postgres://u@/x?schema=%ff"] = "a name has",
      ["postgres://u@/x?schema=a%00b"] = "schema= in the URL has a NUL byte",
      ["postgres://u@/x?sslmode=perhaps"] = "sslmode",
    }
    for url, words in pairs(wrong) do
      it("the URL " .. url:gsub("secret", "..."), function()
        local opened, message, code = event_store.open(url)
        assert.is_nil(opened)
        assert.is_true(code == "config" or code == "unavailable", code)
        assert.matches(words, message, 1, true)
        assert.is_nil(message:find "sec")
      end)
    end

    local lacking = {
      ["layout=unknown"] = "message%-db, marten",
      ["layout=emmett"] = '^%S+: there is no table "emt_messages"',
      ["layout=custom"] = "position=",
      ["layout=custom&table=lunette_events&position=position&id=id"
        .. "&stream=stream&type=type&data=data"] = "safe_head=",
      ["layout=custom&table=lunette_events&position=position&id=id"
        .. "&stream=stream&type=type&data=nothing&safe_head=serialised"] =
        "nothing",
      ["layout=custom&table=lunette_events&position=type&id=id"
        .. "&stream=stream&type=type&data=data&safe_head=serialised"] =
        "cannot hold a position",
      ["layout=custom&table=lunette_events&position=position&id=id"
        .. "&stream=stream&type=type&data=version&safe_head=serialised"] =
        "cannot hold JSON",
      ["layot=marten"] = 'no parameter "layot" of a URL; did you mean "layout"',
      ["layout=lunette&layout=marten"] = "layout= is twice in the URL",
      ["layout=lunette&stream=name"] = "stream= is for layout=custom",
      ["listen=host%3Ddb"] = "write listen=postgres://",
      ["listen=postgres://me:a@b@c/d"] = "^listen=: the postgres URL",
      ["listen=postgres://me:secret@db/x%3Fnone%3D1"] =
        "^listen= in the postgres URL is not valid",
      ["listen=postgres://me:secret/x"] =
        "^listen= in the postgres URL is not valid: its port",
      ["layout=lunette&category=x"] = "category= is for layout=message%-db",
    }
    for query, words in pairs(lacking) do
      it("?" .. query, function()
        local opened, message, code = open(query)
        assert.is_nil(opened)
        assert.equal("config", code)
        assert.matches(words, message)
      end)
    end

    it("a database whose encoding is unknown", function()
      local bytes = server:new_database
        "ENCODING 'SQL_ASCII' TEMPLATE template0"
      local opened, message, code = event_store.open(bytes.url)
      assert.is_nil(opened)
      assert.equal("config", code)
      assert.matches("SQL_ASCII", message)
    end)
  end)

  describe("for a role", function()
    before_each(function()
      database:sql [[
        DROP ROLE IF EXISTS reader, writer;
        CREATE ROLE reader LOGIN;
        CREATE ROLE writer LOGIN;
        GRANT SELECT ON lunette_events TO reader;
        GRANT SELECT, INSERT ON lunette_events TO writer]]
    end)

    after_each(function()
      database:sql "DROP OWNED BY reader, writer; DROP ROLE reader, writer"
    end)

    it("with SELECT alone reads and says what else it may not", function()
      append("a", 2)
      local reader = assert(open(nil, "reader"))
      assert.equal(2, #assert(reader:read {}))
      assert.equal(store:identity(), reader:identity())
      assert.equal(store:head(), reader:head())
      assert.is_true(reader:wake_fd() >= 0)
      local done, message, code =
        reader:append { { stream = "a", type = "T", data = "1" } }
      assert.is_nil(done)
      assert.equal("config", code)
      assert.matches("permission denied", message)
      reader:close()
    end)

    it("with INSERT appends", function()
      local writer = assert(open(nil, "writer"))
      assert(writer:append { { stream = "a", type = "T", data = "1" } })
      assert.equal("2", database:sql(
        "SELECT lunette_append('a', 'T', '1')", "writer"))
      writer:close()
    end)

    it("that may not make the table is told who may", function()
      local empty = server:new_database()
      local opened, message, code =
        event_store.open(empty:with(nil, "reader"))
      assert.is_nil(opened)
      assert.equal("config", code)
      assert.matches("as a role that may", message)
    end)
  end)

  it("is the same log as its copy, up to where they part", function()
    append("a", 2)
    local page = assert(store:read {})
    local shared_part = { after = page.reached, state = page.state }
    local identity = store:identity()
    store:close()
    local copy = server:new_database("TEMPLATE " .. database.name)
    store = assert(open())
    append("a", 1)
    page = assert(store:read(shared_part))
    local further = { after = page.reached, state = page.state }
    local other = assert(event_store.open(copy.url))
    assert.equal(identity, other:identity())
    for _ = 1, 2 do
      local none, message, code = other:read(further)
      assert.is_nil(none)
      assert.equal("config", code)
      assert.matches("that was read last", message)
      assert(other:append { { stream = "a", type = "Moved", data = "9" } })
    end
    assert.same({ "9", "9" },
      column(assert(other:read(shared_part)), "data"))
    other:close()
  end)

  it("is found under either scheme", function()
    local url = database.url:gsub("^postgres:", "postgresql:")
    local other = assert(event_store.open(url))
    assert.equal(store:identity(), other:identity())
    other:close()
  end)

  it("uses one connection for each reader and one to listen", function()
    local readers = {}
    for i = 1, 3 do
      readers[i] = assert(store:connect())
      assert(readers[i]:read {})
      readers[i]:wake_fd()
    end
    helper.wait(function()
      readers[1]:drain()
      return database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database()
          AND application_name = 'lunette']] == "5"
    end)
    for i = 1, 3 do
      readers[i]:close()
    end
  end)

  it("wakes every reader, also through another's ears", function()
    local readers = {}
    for i = 1, 3 do
      readers[i] = assert(store:connect())
      readers[i]:wake_fd()
    end
    helper.wait(function()
      local quiet = true
      for i = 1, 3 do
        readers[i]:drain()
        quiet = quiet and not readers[i]:wait(0)
      end
      return quiet and database:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%']] == "1"
    end)
    append("a")
    for i = 1, 3 do
      assert.is_true(readers[i]:wait(10000))
      readers[i]:drain()
    end
    for i = 1, 3 do
      readers[i]:close()
    end
  end)
end)

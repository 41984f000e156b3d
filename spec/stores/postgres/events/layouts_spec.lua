-- Other people's tables, read as events.

local postgres = require "spec.postgres_server"
local layouts = require "spec.stores.postgres.events.layouts"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

local ID = "0190d2c8-0000-7000-8000-00000000000%d"

local function id_of(n)
  return ID:format(n)
end

describe("a layout of a postgres event store #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local fixture = new_fixture(server)
  local open, database = fixture.open, nil

  before_each(function()
    database = fixture.database
  end)

  -- Run the statement a layout appends with.
  local function append(name, stream, version, id)
    local values = { stream, tostring(version), id }
    for statement in (layouts[name].append .. ";;"):gmatch "(.-);;" do
      database:sql((statement:gsub("%$(%d)", function(n)
        return "'" .. values[tonumber(n)] .. "'"
      end)))
    end
  end

  local function make(name, first)
    database:sql(layouts[name].schema)
    append(name, "writer-1", first, id_of(1))
    append(name, "writer-2", first, id_of(2))
    append(name, "writer-1", first + 1, id_of(3))
  end

  local function column(events, name)
    local values = {}
    for i, found in ipairs(events) do
      values[i] = found[name]
    end
    return values
  end

  local function near_now(us)
    return math.abs(us - os.time() * 1000000) < 600 * 1000000
  end

  -- What is alike in all of them.
  local function check(query, first)
    local store = assert(open(query))
    local page = assert(store:read {})
    assert.same({ "writer-1", "writer-2", "writer-1" },
      column(page, "stream"))
    assert.same({ first, first, first + 1 }, column(page, "version"))
    assert.same({ id_of(1), id_of(2), id_of(3) }, column(page, "id"))
    assert.same({ "Moved", "Moved", "Moved" }, column(page, "type"))
    assert.equal(page[3].position, page.reached)
    assert.equal(page.reached, store:head())
    assert.equal(page[2].position, store:find(id_of(2)))
    assert.equal("not_found", select(3, store:find(id_of(9))))
    assert.equal("not_found", select(3, store:find "nobody"))
    assert.same({ id_of(1), id_of(3) },
      column(assert(store:read { stream = "writer-1" }), "id"))
    assert.equal(0, #assert(store:read { types = { "Other" } }))
    assert.equal(1, store:lag({ after = page[2].position }).events)
    local rest = assert(store:read {
      after = page[1].position, state = "A" .. page[1].id,
    })
    assert.same({ id_of(2), id_of(3) }, column(rest, "id"))
    local again = assert(open(query))
    assert.equal(store:identity(), again:identity())
    assert.equal("config", select(3, store:append {
      { stream = "a", type = "T", data = "1" },
    }))
    return page, store
  end

  describe("emmett", function()
    it("is read by transaction and number", function()
      make("emmett", 1)
      local page = check("layout=emmett", 1)
      assert.equal('{"n": 1}', page[1].data)
      assert.equal('{"by": "me"}', page[1].metadata)
      assert.matches("^%d+:1$", page[1].position)
      assert.is_true(near_now(page[1].recorded_at))
    end)

    it("passes over archived events and those that are none", function()
      make("emmett", 1)
      local store = assert(open "layout=emmett")
      local page = assert(store:read {})
      database:sql [[
        UPDATE emt_messages SET is_archived = true
        WHERE stream_id = 'writer-1';
        INSERT INTO emt_messages SELECT 2, 99, pg_current_xact_id(), created,
          false, 'C', stream_id, partition, '1', 'command', message_type,
          message_data, message_metadata
        FROM emt_messages WHERE stream_id = 'writer-2']]
      assert.same({ "writer-2" },
        column(assert(store:read {}), "stream"))
      -- The event that was read last may be archived meanwhile.
      assert(store:read { after = page.reached, state = page.state })
    end)

    it("counts the versions of commands, and gives out none of them",
      function()
        make("emmett", 1)
        append("emmett", "writer-2", 2, id_of(4))
        append("emmett", "writer-2", 3, id_of(5))
        append("emmett", "writer-2", 4, id_of(6))
        database:sql [[UPDATE emt_messages SET message_kind = 'C'
          WHERE stream_id = 'writer-2' AND stream_position IN (2, 4)]]
        local store = assert(open "layout=emmett")
        local page = assert(store:read {})
        assert.same({ 1, 1, 2, 3 }, column(page, "version"))
        assert.is_true(page.at_head)
        assert.equal(page.reached, store:head())
        assert.equal(0, store:lag({ after = page.reached }).events)
        append("emmett", "writer-2", 5, id_of(7))
        assert.same({ 5 }, column(assert(store:read {
          after = page.reached, state = page.state,
        }), "version"))
      end)

    it("tells the streams of a partition from those of another", function()
      make("emmett", 1)
      database:sql [[
        CREATE TABLE emt_messages_other PARTITION OF emt_messages
          FOR VALUES IN ('other');
        INSERT INTO emt_messages SELECT n, 10 + n, pg_current_xact_id(),
          created, false, 'E', 'writer-1', 'other', '1', 'other-' || n,
          message_type, message_data, message_metadata
        FROM emt_messages, generate_series(1, 7) n
        WHERE stream_id = 'writer-2']]
      append("emmett", "writer-1", 3, id_of(4))
      database:sql [[
        INSERT INTO emt_messages SELECT 9, 30, pg_current_xact_id(), created,
          false, 'E', 'writer-1', 'other', '1', 'other-9', message_type,
          message_data, message_metadata
        FROM emt_messages WHERE stream_id = 'writer-2']]
      local store = assert(open "layout=emmett&holes=ignore")
      assert.same({ 1, 1, 2, 1, 2, 3, 4, 5, 6, 7, 3, 9 },
        column(assert(store:read {}), "version"))
      local page, message = assert(open "layout=emmett"):read {}
      assert.is_nil(page)
      assert.matches("version 8 of stream writer%-1 is missing", message)
    end)

    it("does not take another partition's event for one that is missing",
      function()
        make("emmett", 1)
        database:sql [[
          CREATE TABLE emt_messages_unnamed PARTITION OF emt_messages
            FOR VALUES IN ('');
          CREATE TABLE emt_messages_other PARTITION OF emt_messages
            FOR VALUES IN ('other');
          INSERT INTO emt_messages SELECT n, 10 + n, pg_current_xact_id(),
            created, false, 'E', 'shared', CASE n WHEN 2 THEN 'other' ELSE ''
            END, '1', 'shared-' || n, message_type, message_data,
            message_metadata
          FROM emt_messages, generate_series(1, 3) n
          WHERE stream_id = 'writer-2']]
        local page, message = assert(open "layout=emmett"):read {}
        assert.is_nil(page)
        assert.matches("version 2 of stream shared is missing", message)
      end)

    it("has the partition as its tenant, and reads one alone", function()
      make("emmett", 1)
      database:sql [[
        CREATE TABLE emt_messages_other PARTITION OF emt_messages
          FOR VALUES IN ('o"t.h e&r');
        INSERT INTO emt_messages SELECT 1, 10, pg_current_xact_id(),
          created, false, 'E', 'writer-1', 'o"t.h e&r', '1', 'other',
          'Closed', message_data, message_metadata
        FROM emt_messages WHERE stream_id = 'writer-2']]
      local all = assert(open "layout=emmett")
      local page = assert(all:read {})
      assert.same({ "emt:default", "emt:default", "emt:default",
        'o"t.h e&r' }, column(page, "tenant"))
      assert.equal(4, page.tenants_from)
      assert.matches("^M", page.state)
      page = assert(all:read { types = { "Closed", "Moved" } })
      assert.same({ "emt:default", "emt:default", "emt:default",
        'o"t.h e&r' }, column(page, "tenant"))
      local other = assert(open "layout=emmett&tenant=o%22t.h%20e%26r")
      page = assert(other:read {})
      assert.same({ "other" }, column(page, "id"))
      assert.equal(page.reached, other:head())
      assert.equal(1, other:lag({}).events)
      assert.equal(0, #assert(
        other:read { after = page.reached, state = page.state }))
      local default = assert(open "layout=emmett&tenant=emt:default")
      assert.equal(3, #assert(default:read {}))
      local identities = {}
      for _, store in ipairs { all, other, default } do
        assert.is_nil(identities[store:identity()])
        identities[store:identity()] = true
      end
    end)

    it("is refused when it comes from another server", function()
      make("emmett", 1)
      database:sql "UPDATE emt_messages SET transaction_id = '4000000000'"
      local store = assert(open "layout=emmett")
      local page, message, code = store:read {}
      assert.is_nil(page)
      assert.equal("config", code)
      assert.matches("UPDATE public.emt_messages SET transaction_id", message)
    end)
  end)

  describe("message-db", function()
    it("is read by category", function()
      make("message-db", 0)
      append("message-db", "other-1", 0, id_of(4))
      local page = check("layout=message-db&category=writer", 0)
      assert.equal('{"n": 1}', page[1].data)
      assert.is_true(near_now(page[1].recorded_at)) -- without a zone: UTC
      local other = assert(open "layout=message-db&category=other")
      assert.same({ id_of(4) }, column(assert(other:read {}), "id"))
    end)

    it("may hold no data at all", function()
      make("message-db", 0)
      database:sql "UPDATE message_store.messages SET data = NULL"
      local store = assert(open "layout=message-db&category=writer")
      assert.equal("null", assert(store:read {})[1].data)
    end)
  end)

  describe("commanded", function()
    it("is read by the numbers of $all", function()
      make("commanded", 1)
      local page = check("layout=commanded", 1)
      assert.equal('{"n": 1}', page[1].data) -- bytea
      assert.equal('{"of" : "writer-1", "n" : "1"}', page[1].metadata)
      assert.same({ "1", "2", "3" }, column(page, "position"))
    end)

    it("gives what is not JSON as it is", function()
      make("commanded", 1)
      database:sql(([[UPDATE events SET data = '\x836d00' WHERE event_id
        IN ('%s', '%s')]]):format(id_of(2), id_of(3)))
      local page = assert(assert(open "layout=commanded"):read {})
      assert.equal(3, #page)
      assert.equal("\x83m\0", page[2].data)
    end)

    it("may hold jsonb", function()
      database:sql((layouts.commanded.schema:gsub("bytea", "jsonb")))
      database:sql(([[
        INSERT INTO streams VALUES (1, 'a', 1);
        INSERT INTO events VALUES ('%s', 'T', NULL, NULL, '{"a":1}', NULL);
        INSERT INTO stream_events VALUES ('%s', 1, 1, 1, 1),
          ('%s', 0, 1, 1, 1)]]):format(id_of(1), id_of(1), id_of(1)))
      local store = assert(open "layout=commanded")
      assert.equal('{"a": 1}', assert(store:read {})[1].data)
    end)
  end)

  it("eventsourcing is read under ids that it does not have itself",
    function()
      make("eventsourcing", 1)
      local store = assert(open "layout=eventsourcing")
      local page = assert(store:read {})
      assert.same({ "writer-1/1", "writer-2/1", "writer-1/2" },
        column(page, "id"))
      assert.equal("app:Moved", page[1].type)
      assert.equal(('{"id" : "%s"}'):format(id_of(1)), page[1].data)
      assert.is_nil(page[1].recorded_at)
      assert.equal(page[2].position, store:find "writer-2/1")
      database:sql "ALTER TABLE stored_events RENAME TO bank_events"
      local other = assert(open "layout=eventsourcing&table=bank_events")
      assert.equal(3, #assert(other:read {}))
    end)

  describe("rails_event_store", function()
    before_each(function()
      database:sql(([[
        CREATE TABLE event_store_events (
          id bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE,
          event_type varchar NOT NULL, metadata bytea, data bytea NOT NULL,
          created_at timestamp(6) NOT NULL, valid_at timestamp(6));
        CREATE TABLE event_store_events_in_streams (
          id bigserial PRIMARY KEY, stream varchar NOT NULL, position int,
          event_id uuid NOT NULL, created_at timestamp(6) NOT NULL);
        INSERT INTO event_store_events
          (event_id, event_type, data, created_at)
        VALUES ('%s', 'Moved', '{"n":1}', '2026-01-02 03:04:05.000006'),
          ('%s', 'Moved', '{"n":2}', now() AT TIME ZONE 'UTC');
        INSERT INTO event_store_events_in_streams
          (stream, position, event_id, created_at)
        VALUES ('a', 0, '%s', now()), ('b', NULL, '%s', now())]])
        :format(id_of(1), id_of(2), id_of(1), id_of(1)))
    end)

    it("is read where its writers are said to take turns", function()
      local store = assert(open "layout=rails_event_store&safe_head=serialised")
      local page = assert(store:read {})
      assert.same({ id_of(1), id_of(2) }, column(page, "id"))
      assert.same({ "a", "all" }, column(page, "stream"))
      assert.equal('{"n":1}', page[1].data)
      assert.equal(1767323045000006, page[1].recorded_at)
      assert.is_true(near_now(page[2].recorded_at))
      assert.same({ id_of(2) },
        column(assert(store:read { stream = "all" }), "id"))
    end)
  end)

  describe("prooph", function()
    it("is read from the table that is named", function()
      database:sql(([[
        CREATE TABLE _abc (
          no bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE,
          event_name varchar(100) NOT NULL, payload json NOT NULL,
          metadata jsonb NOT NULL, created_at timestamp(6) NOT NULL);
        INSERT INTO _abc (event_id, event_name, payload, metadata, created_at)
        VALUES ('%s', 'Moved', '{"n": 1.0}',
          '{"_aggregate_id": "a-1", "_aggregate_version": 7}', now())]])
        :format(id_of(1)))
      assert.equal("config", select(3, open "layout=prooph"))
      local store =
        assert(open "layout=prooph&table=_abc&safe_head=serialised")
      local page = assert(store:read {})
      assert.equal("a-1", page[1].stream)
      assert.equal(7, page[1].version)
      assert.equal('{"n": 1.0}', page[1].data)
    end)
  end)

  describe("custom", function()
    local CUSTOM = "layout=custom&table=log&position=no&id=key&stream=owner"
      .. "&type=kind&data=body&safe_head=serialised"

    it("is read by the columns that are named", function()
      database:sql [[
        CREATE TABLE log (no int PRIMARY KEY, key int, owner uuid,
          kind varchar, body text, n smallint, at text, extra text);
        INSERT INTO log VALUES (0, 10,
          '0190d2c8-0000-7000-8000-00000000000a', 'Moved', '{"n":1}', 5,
          '2026-01-02T03:04:05.000006+00:00', '[]'), (3, 11,
          '0190d2c8-0000-7000-8000-00000000000b', 'Moved', '2', 6,
          '2026-01-02T04:04:05.000006+01:00', NULL)]]
      local store =
        assert(open(CUSTOM .. "&version=n&recorded_at=at&metadata=extra"))
      local page = assert(store:read {})
      assert.same({
        position = "0",
        id = "10",
        stream = "0190d2c8-0000-7000-8000-00000000000a",
        version = 5,
        type = "Moved",
        data = '{"n":1}',
        metadata = "[]",
        recorded_at = 1767323045000006,
      }, page[1])
      assert.equal("3", page[2].position)
      assert.equal(1767323045000006, page[2].recorded_at)
      assert.equal(1, #assert(store:read {
        stream = "0190d2c8-0000-7000-8000-00000000000b",
      }))
      assert.equal(0, #assert(store:read { stream = "no uuid" }))
      assert.equal("-1", store:parse "-1")
      assert.equal("3", store:find "11")
    end)

    it("may hold its data in large objects", function()
      database:sql [[
        CREATE TABLE log (no bigint UNIQUE, key text, owner text, kind text,
          body oid);
        INSERT INTO log VALUES (1, 'k', 'a', 'Moved',
          lo_from_bytea(0, '{"n":1}'))]]
      local store = assert(open(CUSTOM))
      local page = assert(store:read {})
      assert.equal('{"n":1}', page[1].data)
      database:sql "INSERT INTO log VALUES (2, 'l', 'a', 'Moved', 99)"
      local none, message =
        store:read { after = page.reached, state = page.state }
      assert.is_nil(none)
      assert.matches("^an event after position 1 cannot be read: .*large "
        .. "object 99 does not exist", message)
    end)

    it("is named where the server cannot convert a value", function()
      database:sql [[
        CREATE TABLE log (no bigint UNIQUE, key text, owner text, kind text,
          body json, step text);
        INSERT INTO log VALUES (1, 'k', 'a', 'Moved', '1', 'first')]]
      local none, message = assert(open(CUSTOM .. "&version=step")):read {}
      assert.is_nil(none)
      assert.matches("^an event after position %-1 cannot be read: .*first",
        message)
    end)

    it("may have one-key objects, which are unwrapped", function()
      database:sql [[
        CREATE TABLE log (no bigint UNIQUE, key text, owner text, kind text,
          body jsonb);
        INSERT INTO log VALUES
          (1, 'a', 's', 'Event', '{"Deposited": {"amount": 5}}'),
          (2, 'b', 's', 'Event', '"Closed"'),
          (3, 'c', 's', 'Event', '{"a": 1, "b": 2}'),
          (4, 'd', 's', 'Event', '[{"a": 1}]'),
          (5, 'e', 's', 'Event', '{"D\u00e9j\u00e0 \"vu\"": 1}')]]
      local store = assert(open(CUSTOM .. "&unwrap=yes"))
      local page = assert(store:read {})
      assert.same({ "Deposited", "Closed", "Event", "Event", 'Déjà "vu"' },
        column(page, "type"))
      assert.same(
        { '{"amount": 5}', "null", '{"a": 1, "b": 2}', '[{"a": 1}]', "1" },
        column(page, "data"))
      page = assert(store:read { types = { "Closed" } })
      assert.same({ "b" }, column(page, "id"))
      assert.equal("5", page.reached)
      local plain = assert(open(CUSTOM))
      assert.equal("Event", assert(plain:read {})[1].type)
    end)

    it("names an event with no type where one is unwrapped", function()
      database:sql [[
        CREATE TABLE log (no bigint UNIQUE, key text, owner text, kind text,
          body json);
        INSERT INTO log VALUES (1, 'a', 's', 'Event', '{}')]]
      local store = assert(open(CUSTOM .. "&unwrap=yes"))
      for body, words in pairs {
        ['"{\\"Deposited\\": {}}"'] = "is JSON in a string, encoded twice",
        ['{"": 1}'] = "has an empty type in it",
        ['{"a\\u0000": 1}'] = "has a type with a NUL byte in it",
      } do
        database:sql("UPDATE log SET body = '" .. body .. "'")
        local page, message = store:read {}
        assert.is_nil(page)
        assert.matches("event at position 1: the data " .. words, message)
      end
    end)

    it("has transaction ids that may be bigint", function()
      database:sql [[
        CREATE TABLE log (no bigserial, key text, owner text, kind text,
          body jsonb, xact bigint DEFAULT pg_current_xact_id()::text::bigint);
        INSERT INTO log (key, owner, kind, body) VALUES ('a', 's', 'T', '1')]]
      local store = assert(open(
        CUSTOM:gsub("serialised", "transactions") .. "&transaction_id=xact"))
      local page = assert(store:read {})
      assert.equal(1, #page)
      assert.matches("^%d+:1$", page.reached)
      assert.equal(0, #assert(
        store:read { after = page.reached, state = page.state }))
    end)

    it("is refused where the way to read does not fit", function()
      database:sql [[
        CREATE TABLE log (no bigint, key text, owner text, kind text,
          body json)]]
      local store, message, code =
        open((CUSTOM:gsub("serialised", "transactions")))
      assert.is_nil(store)
      assert.equal("config", code)
      assert.matches("safe_head=transactions needs a transaction id", message)
    end)
  end)

  it("takes a role that can only SELECT", function()
    make("emmett", 1)
    database:sql [[
      DROP ROLE IF EXISTS bare;
      CREATE ROLE bare LOGIN;
      GRANT SELECT ON emt_messages TO bare]]
    local bare = assert(open("layout=emmett", "bare"))
    assert.equal(3, #assert(bare:read {}))
    local owner = assert(open "layout=emmett")
    assert.equal(owner:identity(), bare:identity())
    database:sql "REVOKE ALL ON emt_messages FROM bare"
    local page, message, code = bare:read {}
    assert.is_nil(page)
    assert.equal("config", code)
    assert.matches("permission denied", message)
    database:sql "DROP OWNED BY bare; DROP ROLE bare"
  end)

  it("is refused with a tenant where there are none", function()
    database:sql(layouts["message-db"].schema)
    local store, message, code =
      open "layout=message-db&category=writer&tenant=acme"
    assert.is_nil(store)
    assert.equal("config", code)
    assert.matches('tenant=acme: the events of "messages" have no tenant',
      message)
  end)

  it("has another identity where it is one category", function()
    database:sql(layouts["message-db"].schema)
    local all = assert(open "layout=message-db")
    local one = assert(open "layout=message-db&category=writer")
    local other = assert(open "layout=message-db&category=reader")
    assert.are_not.equal(all:identity(), one:identity())
    assert.are_not.equal(other:identity(), one:identity())
  end)

  it("has an identity that no other table has", function()
    make("emmett", 1)
    database:sql "CREATE SCHEMA other"
    database:sql("SET search_path = other; " .. layouts.emmett.schema)
    local one = assert(open "layout=emmett")
    local two = assert(open "layout=emmett&schema=other")
    assert.are_not.equal(one:identity(), two:identity())
    assert.equal(0, #assert(two:read {}))
  end)
end)

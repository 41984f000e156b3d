-- Rows as others write them: each is read, or reading stops and names it.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local layouts = require "spec.stores.postgres.events.gap_layouts"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

local COLUMNS = "layout=custom&table=log&position=no&id=key&stream=owner"
  .. "&type=kind&data=body"
local SERIALISED = COLUMNS .. "&safe_head=serialised"
local TRANSACTIONS = COLUMNS .. "&transaction_id=xact&safe_head=transactions"

describe("a row of a postgres event store #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local fixture = new_fixture(server)
  local database

  before_each(function()
    database = fixture.database
  end)

  local function open(query)
    return assert(fixture.open(query))
  end

  -- Read pages of this size until three are empty: "id id", or the failure.
  local function read_all(store, size, filter)
    local request, seen, empty = { max = size }, {}, 0
    for name, value in pairs(filter or {}) do
      request[name] = value
    end
    while empty < 3 do
      local page, message = store:read(request)
      if not page then
        return nil, message
      end
      empty = #page == 0 and empty + 1 or 0
      for _, event in ipairs(page) do
        seen[#seen + 1] = event.id
      end
      request.after, request.state = page.reached, page.state
    end
    return table.concat(seen, " ")
  end

  local function names(words, store, size, filter)
    local seen, message = read_all(store, size, filter)
    assert.is_nil(seen)
    assert.matches(words, message)
  end

  it("has names without their padding", function()
    database:sql [[
      CREATE TABLE log (no bigserial PRIMARY KEY, key char(8), owner char(12),
        kind char(20), body jsonb);
      INSERT INTO log (key, owner, kind, body) VALUES
        ('one', 'shop', 'Sold', '1'), ('two', 'shop', 'Lost', '2'),
        ('three', 'else', 'Sold', '3')]]
    local store = open(SERIALISED)
    local page = assert(store:read {})
    assert.equal("shop", page[1].stream)
    assert.equal("Sold", page[1].type)
    assert.equal("one two three", read_all(store, 1))
    assert.equal("one three", read_all(store, 1, { types = { "Sold" } }))
    assert.equal("one two", read_all(store, 9, { stream = "shop" }))
    assert.equal(page[2].position, store:find "two")
  end)

  it("has names that are compared byte by byte", function()
    database:sql [[
      CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2',
        deterministic = false);
      CREATE TABLE log (no bigserial PRIMARY KEY, key text COLLATE blind,
        owner text COLLATE blind, kind text COLLATE blind, body jsonb);
      INSERT INTO log (key, owner, kind, body) VALUES
        ('a', 'Shop', 'Sold', '1'), ('A', 'shop', 'SOLD', '2')]]
    local store = open(SERIALISED)
    assert.equal("a", read_all(store, 1, { types = { "Sold" } }))
    assert.equal("A", read_all(store, 1, { stream = "shop" }))
    assert.equal("2", store:find "A")
  end)

  it("is named where a name is null", function()
    database:sql [[
      CREATE TABLE log (no bigserial PRIMARY KEY, key text, owner text,
        kind text, body jsonb);
      INSERT INTO log (key, owner, kind, body) VALUES
        ('a', 's', 'Sold', '1'), ('b', 's', NULL, '1')]]
    local store = open(SERIALISED)
    names("position 2: id, stream or type is empty", store, 9)
    names("position 2: id, stream or type is empty", store, 9,
      { types = { "Sold" } })
    database:sql "UPDATE log SET kind = 'Sold', owner = NULL WHERE no = 2"
    names("position 2: id, stream or type is empty", store, 9)
    database:sql "UPDATE log SET owner = 's', key = NULL WHERE no = 2"
    names("id is null", store, 9)
  end)

  it("is named where its type is empty, also by who wants others", function()
    database:sql [[
      CREATE TABLE log (no bigserial PRIMARY KEY, key text, owner text,
        kind char(4), body jsonb);
      INSERT INTO log (key, owner, kind, body) VALUES
        ('a', 's', 'Sold', '1'), ('b', 's', '', '1')]]
    for _, query in ipairs { SERIALISED,
      COLUMNS .. "&safe_head=gaps&grace_ms=0" } do
      names("position 2: id, stream or type is empty", open(query), 9,
        { types = { "Sold" } })
    end
  end)

  it("may stand at the last position there is", function()
    database:sql [[
      CREATE TABLE log (no bigint PRIMARY KEY, key text, owner text, kind text,
        body jsonb);
      INSERT INTO log VALUES (1, 'a', 's', 'T', '1'),
        (9223372036854775807, 'b', 's', 'T', '1')]]
    for _, head in ipairs { "serialised", "gaps&grace_ms=0" } do
      local store = open(COLUMNS .. "&safe_head=" .. head)
      assert.equal("9223372036854775807", store:head())
      assert.equal("9223372036854775807", store:parse(store:head()))
      assert.equal("a b", read_all(store, 1))
    end
  end)

  it("is read as it was where columns get another type meanwhile", function()
    database:sql [[
      CREATE TABLE log (no bigint PRIMARY KEY, key text, owner text, kind text,
        body jsonb);
      INSERT INTO log VALUES (1, 'a', 's', 'Sold', '1')]]
    local one, two = open(SERIALISED), open(SERIALISED)
    assert.equal("a", read_all(one, 9))
    assert.equal("a", read_all(two, 9))
    database:sql [[
      ALTER TABLE log ALTER kind TYPE char(20), ALTER owner TYPE varchar(9),
        ALTER no TYPE numeric(20,0);
      INSERT INTO log VALUES (2, 'b', 's', 'Sold', '1')]]
    assert.equal("a b", read_all(one, 9))
    assert.equal("a b", read_all(two, 9, { types = { "Sold" } }))
    assert.equal("2", one:head())
  end)

  it("is named where what it is joined to is missing", function()
    database:sql(layouts.sqlstreamstore.schema)
    database:sql [[
      DO $$ DECLARE one text; BEGIN
        FOR one IN SELECT conname FROM pg_constraint
          WHERE conrelid = 'messages'::regclass AND contype = 'f'
        LOOP EXECUTE 'ALTER TABLE messages DROP CONSTRAINT ' || one; END LOOP;
      END $$]]
    local append = layouts.sqlstreamstore.append
    for n, stream in ipairs { "a", "b" } do
      local values = { ["1"] = stream, ["2"] = "0",
        ["3"] = ("0190d2c8-0000-7000-8000-00000000000%d"):format(n) }
      for statement in (append .. ";;"):gmatch "(.-);;" do
        database:sql((statement:gsub("%$(%d)", function(i)
          return "'" .. values[i] .. "'"
        end)))
      end
    end
    database:sql "DELETE FROM streams WHERE id_original = 'b'"
    names("id, stream or type is empty", open "layout=sqlstreamstore", 9)
  end)

  it("is named where another stands at its position", function()
    database:sql [[
      CREATE TABLE log (no bigserial, key text, owner text, kind text,
        body jsonb);
      CREATE INDEX ON log (no);
      INSERT INTO log (no, key, owner, kind, body) VALUES
        (1, 'a', 's', 'Sold', '1'), (2, 'b', 's', 'Sold', '1'),
        (2, 'c', 's', 'Sold', '1'), (3, 'd', 's', 'Sold', '1')]]
    for size = 1, 4 do
      names("several events at position 2", open(SERIALISED), size)
      names("several events at position 2",
        open(COLUMNS .. "&safe_head=gaps&grace_ms=0"), size)
    end
  end)

  -- Behind rows that were nearly all wanted, payloads come without being asked
  -- for: here, how much of the others is read all the same.
  for _, case in ipairs {
    { "behind many that were wanted", "i <= 40 OR i = 400", 100 },
    { "among others", "i % 2 = 0", 5 },
    { "as few others do", "i % 20 > 0", 10 },
  } do
    it("that nobody wants is not read, " .. case[1], function()
      database:sql(([[
        CREATE TABLE log (no bigserial PRIMARY KEY, key text, owner text,
          kind text, body text, step bigint);
        INSERT INTO log (key, owner, kind, body, step)
          SELECT i, 'a', CASE WHEN %s THEN 'Moved' ELSE 'Other' END,
            CASE WHEN %s THEN '{}' ELSE (
              SELECT string_agg(md5(i || '/' || j), '')
              FROM generate_series(1, 100) j) END, i
          FROM generate_series(1, 400) i]]):format(case[2], case[2]))
      local expected = database:sql [[
        SELECT string_agg(key, ' ' ORDER BY no) FROM log WHERE kind = 'Moved']]
      database:sql "SELECT pg_stat_reset()"
      local store = open(SERIALISED .. "&version=step")
      assert.equal(expected,
        read_all(store, 20, { types = { "Moved" }, max_bytes = 10000 }))
      store:close() -- so that its backend says what it read
      local function count(what, view)
        local sql = "SELECT %s FROM %s WHERE relname = 'log'"
        return tonumber((database:sql(sql:format(what, view)))) or 0
      end
      helper.wait(function()
        return count("idx_scan + seq_scan", "pg_stat_user_tables") > 0
      end)
      local blocks =
        count("toast_blks_hit + toast_blks_read", "pg_statio_user_tables")
      assert.is_true(blocks < case[3], blocks .. " blocks")
    end)
  end

  it("that nobody wants may have a payload that cannot be had", function()
    database:sql [[
      CREATE TABLE log (no bigserial PRIMARY KEY, key text, owner text,
        kind text, body oid, step bigint);
      INSERT INTO log (step, key, owner, kind, body) SELECT i, i, 'a', 'Moved',
        lo_from_bytea(0, '{}') FROM generate_series(1, 5) i;
      INSERT INTO log (step, key, owner, kind, body) VALUES
        (6, 6, 'a', 'Other', 99), (7, 7, 'a', 'Moved', lo_from_bytea(0, '{}'))]]
    local store = open(SERIALISED .. "&version=step")
    assert.equal("1 2 3 4 5 7", read_all(store, 2, { types = { "Moved" } }))
  end)

  it("that has no number yet is no event yet", function()
    database:sql [[
      CREATE TABLE log (no bigint UNIQUE, key text, owner text, kind text,
        body jsonb);
      INSERT INTO log VALUES
        (0, 'a', 's', 'Sold', '1'), (1, 'b', 's', 'Sold', '1'),
        (NULL, 'c', 's', 'Sold', '1')]]
    for _, head in ipairs { "serialised", "gaps" } do
      assert.equal("a b", read_all(open(COLUMNS .. "&safe_head=" .. head), 9))
    end
    local store = open(SERIALISED)
    local page = assert(store:read {})
    database:sql "UPDATE log SET no = 2 WHERE no IS NULL"
    page = assert(store:read { after = page.reached, state = page.state })
    assert.equal("c", page[1].id)
  end)

  describe("in the order of transactions", function()
    local INSERT = "INSERT INTO log (no, key, owner, kind, body) VALUES "

    before_each(function()
      database:sql [[
        CREATE TABLE log (no bigint DEFAULT 1, key text, owner text, kind text,
          body jsonb, xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
          UNIQUE (xact, no))]]
    end)

    local places = {
      ["of the last one"] = {
        "(1, 'a', 's', 'T', '1'), (NULL, 'b', 's', 'T', '1')",
      },
      ["of one before"] = {
        "(1, 'a', 's', 'T', '1'), (NULL, 'b', 's', 'T', '1')",
        "(2, 'c', 's', 'T', '1')",
      },
      ["alone in one"] = {
        "(1, 'a', 's', 'T', '1')", "(NULL, 'b', 's', 'T', '1')",
        "(2, 'c', 's', 'T', '1')",
      },
    }
    for place, inserts in pairs(places) do
      it("is named where its number is null, " .. place, function()
        for _, values in ipairs(inserts) do
          database:sql(INSERT .. values)
        end
        for size = 1, 3 do
          local seen, message = read_all(open(TRANSACTIONS), size)
          assert.is_nil(seen)
          assert.is_truthy(message:find "position is null"
            or message:find "without a position", message)
        end
      end)
    end

    it("may have a number that is numeric", function()
      database:sql "ALTER TABLE log ALTER no TYPE numeric(20,0)"
      database:sql(INSERT .. "(7, 'a', 's', 'T', '1')")
      local store = open(TRANSACTIONS)
      assert.matches(":7$", store:head())
      assert.equal("a", read_all(store, 9))
    end)

    it("is named where its number is negative", function()
      database:sql(INSERT .. "(-4, 'a', 's', 'T', '1')")
      names("its position is negative", open(TRANSACTIONS), 9)
    end)
  end)
end)

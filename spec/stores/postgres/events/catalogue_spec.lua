-- What the order of events rests on, as the catalogue tells it: refused where
-- it does not fit, when a store is opened and while it is read.

local postgres = require "spec.postgres_server"
local pg_session = require "pg_session"
local layouts = require "spec.stores.postgres.events.layouts"
local new_fixture = require "spec.stores.postgres.events.fixture"

local server, reason = postgres.start()

local LOG = [[
  CREATE TABLE log (no %s, key uuid NOT NULL DEFAULT gen_random_uuid(),
    owner text NOT NULL DEFAULT 'a', kind text NOT NULL DEFAULT 'Moved',
    body jsonb NOT NULL DEFAULT '{}', xact xid8 DEFAULT pg_current_xact_id());]]
local COLUMNS = "layout=custom&table=log&position=no&id=key&stream=owner"
  .. "&type=kind&data=body"
local SERIALISED = COLUMNS .. "&safe_head=serialised"
local GAPS = COLUMNS .. "&safe_head=gaps"
local TRANSACTIONS = COLUMNS .. "&transaction_id=xact&safe_head=transactions"
local SERIAL = LOG:format "bigserial PRIMARY KEY"

describe("the catalogue of a postgres event store #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local fixture = new_fixture(server)
  local open, database = fixture.open, nil

  before_each(function()
    database = fixture.database
  end)

  local function refuses(query, words)
    local store, message, code = open(query)
    assert.is_nil(store, "it was opened")
    assert.equal("config", code)
    assert.matches(words, message)
  end

  local function positions(page)
    local list = {}
    for i, event in ipairs(page) do
      list[i] = event.position
    end
    return table.concat(list, " ")
  end

  describe("is looked at when a store is opened:", function()
    local cases = {
      ["numbers in stock"] = {
        SERIAL .. "ALTER SEQUENCE log_no_seq CACHE 20", SERIALISED,
        "gives each session a stock of numbers, log_no_seq",
      },
      ["numbers in stock, of an identity"] = {
        LOG:format "bigint GENERATED ALWAYS AS IDENTITY (CACHE 2) UNIQUE",
        SERIALISED, "a stock of numbers, log_no_seq",
      },
      ["numbers in stock, of a sequence named in text"] = {
        "CREATE SEQUENCE far CACHE 5;"
          .. LOG:format "bigint UNIQUE DEFAULT nextval('far'::text)",
        SERIALISED, "a stock of numbers, far",
      },
      ["numbers in stock, behind a view"] = {
        SERIAL .. [[
          ALTER TABLE log RENAME TO hidden;
          ALTER SEQUENCE log_no_seq CACHE 20;
          CREATE VIEW log AS SELECT * FROM hidden]],
        SERIALISED, "a stock of numbers, log_no_seq",
      },
      ["numbers in stock, which the URL denies"] = {
        SERIAL .. "ALTER SEQUENCE log_no_seq CACHE 20",
        GAPS .. "&grace_ms=0", "which grace_ms=0 denies",
      },
      ["numbers that go down"] = {
        LOG:format "bigint UNIQUE GENERATED ALWAYS AS IDENTITY (INCREMENT -1)",
        GAPS, "counts down, log_no_seq",
      },
      ["numbers that begin anew"] = {
        LOG:format "bigint UNIQUE GENERATED ALWAYS AS IDENTITY (CYCLE)",
        TRANSACTIONS, "begins anew at its end, log_no_seq",
      },
      ["numbers of several sequences"] = {
        "CREATE SEQUENCE one; CREATE SEQUENCE two;"
          .. LOG:format "bigint DEFAULT nextval('one')"
            :gsub("%);", ") PARTITION BY LIST (owner);") .. [[
          CREATE TABLE log_a PARTITION OF log FOR VALUES IN ('a');
          ALTER TABLE log_a ALTER no SET DEFAULT nextval('two')]],
        SERIALISED, "several sequences %(one, two%)",
      },
      ["a child by inheritance"] = {
        SERIAL .. "CREATE TABLE child () INHERITS (log)", SERIALISED,
        "has a child by inheritance, child",
      },
      ["a materialized view"] = {
        SERIAL .. [[
          ALTER TABLE log RENAME TO hidden;
          CREATE MATERIALIZED VIEW log AS SELECT * FROM hidden]],
        SERIALISED, "is a materialized view",
      },
      ["no unique index"] = {
        LOG:format "bigint", SERIALISED, 'no unique index on its position "no"',
      },
      ["a unique index on a part of the rows"] = {
        LOG:format "bigint" .. "CREATE UNIQUE INDEX ON log (no) WHERE no > 5",
        GAPS, "no unique index",
      },
      ["a position below the first"] = {
        SERIAL .. "INSERT INTO log (no) VALUES (-7)", SERIALISED,
        "before the first position that can be read, at %-7",
      },
      ["a default that is no transaction id"] = {
        SERIAL .. "ALTER TABLE log ALTER xact SET DEFAULT '7'", TRANSACTIONS,
        "has '7'.* as the default of its transaction id",
      },
      ["a transaction id that is null"] = {
        SERIAL .. [[
          INSERT INTO log (key, xact) VALUES
            ('00000000-0000-4000-8000-00000000000a', NULL)]],
        TRANSACTIONS,
        "null, and which has no place in the order: 00000000%-0000%-4000",
      },
      ["a sequence that was set back"] = {
        SERIAL .. [[INSERT INTO log (no) VALUES (7);
          INSERT INTO log DEFAULT VALUES]], SERIALISED,
        "stand after the last number of its sequence, log_no_seq",
      },
      ["a trigger that gives numbers"] = {
        "CREATE SEQUENCE far;" .. SERIAL .. [[
          CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN NEW.no := nextval('far'); RETURN NEW; END $$;
          CREATE TRIGGER fate BEFORE INSERT ON log FOR EACH ROW
          EXECUTE FUNCTION renumber()]],
        SERIALISED, 'has a trigger "fate"',
      },
      ["a trigger that gives transaction ids"] = {
        SERIAL .. [[
          CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN NEW.xact = '5'; RETURN NEW; END $$;
          CREATE TRIGGER fate BEFORE INSERT ON log FOR EACH ROW
          EXECUTE FUNCTION renumber()]],
        TRANSACTIONS, 'has a trigger "fate"',
      },
    }
    for name, case in pairs(cases) do
      it(name, function()
        database:sql(case[1])
        refuses(case[2], case[3])
      end)
    end

    it("a part that is foreign", function()
      database:sql((LOG:gsub("%);", ") PARTITION BY LIST (owner);")
        :format "bigserial") .. ([[
        CREATE EXTENSION postgres_fdw;
        CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
          OPTIONS (host '%s', dbname '%s');
        CREATE USER MAPPING FOR postgres SERVER far;
        CREATE TABLE away (LIKE log);
        CREATE FOREIGN TABLE log_a PARTITION OF log FOR VALUES IN ('a')
          SERVER far OPTIONS (table_name 'away')]])
        :format(server.dir, database.name))
      for _, query in ipairs { GAPS, SERIALISED, TRANSACTIONS } do
        refuses(query, "is made of a foreign table, log_a")
      end
    end)

    it("numbers in stock, for a category of message-db", function()
      database:sql(layouts["message-db"].schema .. [[
        ALTER SEQUENCE message_store.messages_global_position_seq CACHE 20]])
      refuses("layout=message-db&category=writer", "ALTER SEQUENCE")
      assert(open "layout=message-db")
    end)

    it("takes a trigger that leaves the position alone", function()
      database:sql(SERIAL .. [[
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.kind := upper(NEW.kind); RETURN NEW; END $$;
        CREATE TRIGGER fate BEFORE INSERT ON log FOR EACH ROW
        EXECUTE FUNCTION stamp();
        INSERT INTO log DEFAULT VALUES]])
      assert.equal("MOVED", assert(open(SERIALISED)):read({})[1].type)
      assert.equal(1, #assert(open(TRANSACTIONS)):read {})
    end)

    it("takes triggers that leave the position of new rows alone", function()
      database:sql(SERIAL .. [[
        CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.no = 7 THEN NEW.kind := 'seven'; END IF;
        RETURN NEW; END $$;
        CREATE TRIGGER looking BEFORE INSERT ON log FOR EACH ROW
        EXECUTE FUNCTION look();
        CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.no := 7; RETURN NEW; END $$;
        CREATE TRIGGER renumbering BEFORE UPDATE ON log FOR EACH ROW
        EXECUTE FUNCTION renumber();
        ALTER TABLE log ADD COLUMN words tsvector;
        CREATE TRIGGER wording BEFORE INSERT OR UPDATE ON log FOR EACH ROW
        EXECUTE FUNCTION tsvector_update_trigger(
          words, 'pg_catalog.simple', kind);
        INSERT INTO log DEFAULT VALUES]])
      assert.equal(1, #assert(open(SERIALISED)):read {})
    end)

    it("takes a view that has other sequences behind it", function()
      database:sql((SERIAL:gsub("log", "rows")) .. [[
        CREATE TABLE owners (number serial, name text);
        INSERT INTO owners (name) VALUES ('a');
        INSERT INTO rows DEFAULT VALUES;
        INSERT INTO rows DEFAULT VALUES;
        CREATE VIEW log AS SELECT rows.*, number FROM rows JOIN owners
        ON name = owner]])
      assert.equal(2, #assert(open(SERIALISED)):read {})
    end)

    it("takes what it is without a look at any other table", function()
      database:sql(SERIAL .. [[
        CREATE TABLE other (n integer DEFAULT 1, t xid8
          DEFAULT pg_current_xact_id());
        DO $$ DECLARE what text; BEGIN
          FOREACH what IN ARRAY ARRAY['lock_timeout = 500',
            'enable_indexscan = off', 'enable_bitmapscan = off'] LOOP
            EXECUTE format('ALTER DATABASE %I SET %s',
              current_database(), what);
          END LOOP; END $$]])
      local session = pg_session.open(database.url)
      session:run "BEGIN; LOCK other"
      for _, query in ipairs { SERIALISED, GAPS, TRANSACTIONS } do
        assert.equal(0, #assert(open(query)):read {})
      end
      session:close()
    end)

    it("takes one sequence in place of a unique index", function()
      database:sql(LOG:format "bigserial" .. "INSERT INTO log DEFAULT VALUES")
      assert.equal(1, #assert(open(SERIALISED)):read {})
    end)
  end)

  describe("row security", function()
    before_each(function()
      database:sql(SERIAL .. [[
        INSERT INTO log (owner) VALUES ('a'), ('b');
        DROP ROLE IF EXISTS narrow;
        CREATE ROLE narrow LOGIN;
        GRANT SELECT ON log TO narrow;
        CREATE POLICY part ON log USING (owner = 'a')]])
    end)

    after_each(function()
      database:sql "DROP OWNED BY narrow; DROP ROLE narrow"
    end)

    it("is refused where it would hide events", function()
      database:sql "ALTER TABLE log ENABLE ROW LEVEL SECURITY"
      local store, message, code = open(SERIALISED, "narrow")
      assert.is_nil(store)
      assert.equal("config", code)
      assert.matches("row%-level security", message)
      assert.equal(2, #assert(open(SERIALISED)):read {})
    end)

    it("is noticed when it comes while events are read", function()
      local store = assert(open(SERIALISED, "narrow"))
      assert.equal(2, #assert(store:read {}))
      database:sql "ALTER TABLE log ENABLE ROW LEVEL SECURITY"
      local page, message, code = store:read {}
      assert.is_nil(page)
      assert.equal("config", code)
      assert.matches("row%-level security", message)
      database:sql "ALTER ROLE narrow BYPASSRLS"
      assert.equal(2, #assert(store:read {}))
    end)
  end)

  describe("is looked at while events are read:", function()
    it("numbers in stock, in the statement that sees the first", function()
      database:sql(SERIAL .. "INSERT INTO log DEFAULT VALUES")
      local store = assert(open(SERIALISED))
      local page = assert(store:read {})
      database:sql [[
        ALTER SEQUENCE log_no_seq CACHE 20;
        INSERT INTO log DEFAULT VALUES]]
      local request = { after = page.reached, state = page.state }
      local refused, message, code = store:read(request)
      assert.is_nil(refused)
      assert.equal("config", code)
      assert.matches("a stock of numbers, log_no_seq", message)
      database:sql "ALTER SEQUENCE log_no_seq CACHE 1"
      assert.equal("2", positions(assert(store:read(request))))
    end)

    it("another sequence as the default", function()
      database:sql(SERIAL)
      local store = assert(open(SERIALISED))
      assert(store:read {})
      database:sql [[
        CREATE SEQUENCE far CACHE 9;
        ALTER TABLE log ALTER no SET DEFAULT nextval('far')]]
      local _, message = store:read {}
      assert.matches("a stock of numbers, far", message)
    end)

    it("another table of the same name", function()
      database:sql(SERIAL)
      local store = assert(open(GAPS))
      assert(store:read {})
      database:sql [[
        ALTER TABLE log RENAME TO hidden;
        CREATE VIEW log AS SELECT * FROM hidden]]
      local _, message = store:read {}
      assert.matches("is no table", message)
    end)

    it("numbers in stock, which are waited for where gaps are", function()
      database:sql(LOG:format [[
        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY
        (MINVALUE 0 START 0)]] .. "INSERT INTO log DEFAULT VALUES")
      local store = assert(open(GAPS .. "&window_ms=1000"))
      local page = assert(store:read {})
      assert.equal("0", positions(page))
      database:sql "ALTER SEQUENCE log_no_seq CACHE 5"
      local one = pg_session.open(database.url)
      local two = pg_session.open(database.url)
      one:run "INSERT INTO log DEFAULT VALUES"
      two:run "INSERT INTO log DEFAULT VALUES"
      local seen = {}
      for _ = 1, 5 do
        page = assert(store:read { after = page.reached, state = page.state })
        seen[#seen + 1] = positions(page)
      end
      one:run "INSERT INTO log DEFAULT VALUES"
      page = assert(store:read { after = page.reached, state = page.state })
      seen[#seen + 1] = positions(page)
      one:close()
      two:close()
      assert.same({ "1", "", "", "", "", "2" }, seen)
    end)
  end)
end)

local helper = require "spec.helper"
local contract = require "spec.stores.model_store_contract"
local kit = require "spec.stores.model_kit"
local pg_session = require "pg_session"
local postgres = require "spec.postgres_server"

local server, why = postgres.start()

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.matches(pattern, message)
end

describe("the postgres model store #postgres", function()
  if not server then
    pending(why)
    return
  end

  local database = server:new_database()
  local schemas = 0
  local schema, url, store

  -- A place of its own for every spec: a schema is made sooner than a database.
  local function new_place()
    collectgarbage() -- closes what the spec before has opened
    schemas = schemas + 1
    schema = "s" .. schemas
    url = database:with("schema=" .. schema)
    return url
  end

  contract(function()
    return assert(kit.open(new_place()))
  end)

  -- What psql says to SQL, with the schema as its search path.
  local function psql(sql, user)
    return database:sql("SET search_path = " .. schema .. ";\n" .. sql, user)
  end

  before_each(function()
    store = assert(kit.open(new_place()))
  end)

  after_each(function()
    store:close()
  end)

  it("keeps everything over a restart", function()
    local owner = kit.own(store, kit.account_schema())
    owner:commit({ a = { balance = 1 } }, { position = 7,
      parked = { kit.aside(1, "b") }, source_state = "x" })
    local before = owner:checkpoint()
    store:close()
    store = assert(kit.open(url))
    assert.same(before, store:checkpoint "account_summary")
    assert.same({ a = { balance = 1 } }, store:load(owner.schema, { "a" }))
    assert.equal(1, #store:parked "account_summary")
    assert.is_true(assert(store:acquire("account_summary", "me")) > owner.fence)
  end)

  it("makes nothing where it must exist", function()
    local other = server:new_database()
    fails("config", 'no models yet: .* holds none in schema "lunette"',
      kit.open(other.url, { must_exist = 1 }))
    assert.equal("0", other:sql
      "SELECT count(*) FROM pg_namespace WHERE nspname = 'lunette'")
    kit.open(url, { must_exist = 1 }):close()
  end)

  it("has a schema of its own if none is named", function()
    local other = server:new_database()
    local there = assert(kit.open(other.url))
    local owner = kit.own(there, kit.account_schema())
    owner:commit { a = { owner = "Ada" } }
    assert.equal("Ada", other:sql "SELECT owner FROM lunette.account_summary")
    there:close()
  end)

  it("refuses what is for event stores, and databases without UTF-8", function()
    fails("config", "layout= is for event stores",
      kit.open(database:with "layout=marten"))
    local latin = server:new_database(
      "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    fails("config", "encoding of the database is LATIN1", kit.open(latin.url))
  end)

  describe("in psql", function()
    it("shows the models by the projection's name", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit {
        a = { owner = "Ada", balance = 1050, rate = 2.0, active = true,
          last_activity = { timestamp = 1700000000123456 },
          tags = { json = '["x"]' } },
        b = { owner = "it's" },
      }
      assert.equal('a|t|1050|2023-11-14 22:13:20.123456+00|Ada|2|["x"]\n'
        .. "b||||it's||", psql "SELECT * FROM account_summary;")
      assert.equal("id text|active boolean|balance bigint|last_activity "
        .. "timestamp with time zone|owner text|rate double precision|"
        .. "tags jsonb", psql(([[
          SELECT string_agg(column_name || ' ' || data_type, '|'
            ORDER BY ordinal_position)
          FROM information_schema.columns
          WHERE table_schema = '%s' AND table_name = 'account_summary__b1';
        ]]):format(schema)))
    end)

    it("shows keys that are integers, and columns in their order", function()
      local owner = kit.own(store, kit.schema { key = "integer",
        fields = { a = "text", b = "integer", c = "json" },
        order = { "c", "b", "a" } })
      owner:commit { ["10"] = { a = "ten" }, ["9"] = { a = "nine", b = 10 } }
      assert.equal("9||10|nine\n10|||ten",
        psql "SELECT * FROM account_summary ORDER BY id;")
      assert.equal("id bigint|c jsonb|b bigint|a text", psql(([[
        SELECT string_agg(column_name || ' ' || data_type, '|'
          ORDER BY ordinal_position)
        FROM information_schema.columns
        WHERE table_schema = '%s' AND table_name = 'account_summary';
      ]]):format(schema)))
      assert.equal("nine", psql [[
        SELECT m.a FROM account_summary m
        JOIN account_summary n ON m.b = n.id;]])
    end)

    it("shows models without fields as jsonb", function()
      local owner = kit.own(store, kit.schema())
      owner:commit { a = { model = { json = '{"n":1}' } } }
      assert.equal('a|{"n": 1}', psql "SELECT * FROM account_summary;")
      assert.equal("a", psql [[
        SELECT id FROM account_summary WHERE model @> '{"n":1}';]])
    end)

    it("shows indexes by their fields, or digits where that is long", function()
      local long = ("x"):rep(40)
      local wanted = kit.schema {
        fields = { [long] = "integer", owner = "text", tags = "json" },
        indexes = { { "owner", long }, { "owner" }, { "tags" } },
      }
      kit.own(store, wanted)
      assert(store:index(wanted))
      assert(store:index(wanted))
      assert.matches("^account_summary__b1__#%x%x%x%x%x%x%x%x%x%x%x%x\n"
        .. "account_summary__b1__owner\naccount_summary__b1__tags\n"
        .. "account_summary__b1_pkey$", psql(([[
          SELECT indexname FROM pg_indexes WHERE schemaname = '%s'
          AND tablename = 'account_summary__b1'
          ORDER BY indexname COLLATE "C";]]):format(schema)))
      assert.matches("USING gin", psql(([[
        SELECT indexdef FROM pg_indexes WHERE schemaname = '%s'
        AND indexname = 'account_summary__b1__tags';]]):format(schema)))
    end)

    it("leaves nothing of a dropped projection but its numbers", function()
      local owner = kit.own(store, kit.account_schema {
        indexes = { { "balance" } } })
      owner:commit({}, { parked = { kit.aside(1, "a") } })
      psql "CREATE TABLE account_summary__b2_backup (x int);"
      assert(store:drop("account_summary", owner.revision, owner.fence))
      assert.equal("account_summary__b2_backup", psql(([[
        SELECT relname FROM pg_class WHERE relnamespace = '%s'::regnamespace
        AND relname LIKE 'account%%';]]):format(schema)))
      assert.equal("0|0|0|0|1|1", psql [[
        SELECT (SELECT count(*) FROM lunette_parked),
          (SELECT count(*) FROM lunette_builds),
          (SELECT count(*) FROM lunette_checkpoints),
          (SELECT count(*) FROM lunette_scripts),
          (SELECT last_build FROM lunette_projections),
          (SELECT fence FROM lunette_owners);]])
    end)
  end)

  describe("an index", function()
    local wanted, owner

    before_each(function()
      wanted = kit.account_schema { indexes = { { "balance" }, { "owner" } } }
      owner = kit.own(store, wanted)
      owner:commit { a = { balance = 1 } }
    end)

    local function indexes()
      return psql(([[
        SELECT string_agg(c.relname || ' ' || i.indisvalid, ',' ORDER BY 1)
        FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relnamespace = '%s'::regnamespace AND NOT i.indisprimary
        AND c.relname LIKE 'account%%';]]):format(schema))
    end

    local both = "account_summary__b1__balance true,"
      .. "account_summary__b1__owner true"

    it("is not made before it is asked for", function()
      assert.equal("", indexes())
      assert(store:index(wanted))
      assert.equal(both, indexes())
      assert(store:reset(wanted, owner.revision, owner.fence))
      assert.equal("", indexes())
    end)

    it("is made anew where its making was broken off", function()
      assert(store:index(wanted))
      psql [[UPDATE pg_index SET indisvalid = false
        WHERE indexrelid = 'account_summary__b1__owner'::regclass;]]
      assert(store:index(wanted))
      assert.equal(both, indexes())
    end)

    it("leaves nothing behind where it cannot be", function()
      local long = {}
      for i = 1, 20000 do
        long[i] = utf8.char(0x4e00 + (i * i * 7919 + i) % 20000)
      end
      owner:commit { b = { owner = table.concat(long) } }
      fails("config", "take the long field out", store:index(wanted))
      assert.equal("account_summary__b1__balance true", indexes())
    end)

    it("is not somebody else's of that name", function()
      psql "CREATE TABLE account_summary__b1__owner (x int);"
      fails("config", 'index "account_summary__b1__owner".*not this '
        .. "projection's", store:index(wanted))
    end)

    local others = {
      ["on other columns"] = "%s (owner, balance)",
      ["on a part of the rows"] = "%s (owner) WHERE balance > 1",
      ["on an expression"] = "%s (lower(owner))",
      ["of another kind"] = "%s USING hash (owner)",
    }
    for what, definition in pairs(others) do
      it("is not one of that name that is " .. what, function()
        psql(("CREATE INDEX account_summary__b1__owner ON " .. definition
          .. ";"):format "account_summary__b1")
        fails("config", 'index "account_summary__b1__owner".*not this index',
          store:index(wanted))
      end)
    end

    it("is not a unique one of that name", function()
      psql [[CREATE UNIQUE INDEX account_summary__b1__owner
        ON account_summary__b1 (owner);]]
      fails("config", 'index "account_summary__b1__owner".*not this index',
        store:index(wanted))
    end)

    it("may be made by hand, with more in it", function()
      psql [[CREATE INDEX account_summary__b1__owner
        ON account_summary__b1 (owner DESC) INCLUDE (balance);]]
      assert(store:index(wanted))
      assert.equal(both, indexes())
    end)

    -- Other programs at the table, until as many wait for it; then they go.
    local function beside(sql, patience)
      local shell = helper.spawn({
        server.bin .. "/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h",
        server.dir, "-U", server.user, "-d", database.name, "-c",
        ([[SET search_path = %s; BEGIN ISOLATION LEVEL REPEATABLE READ; %s;
          SELECT pg_advisory_xact_lock(77);
          DO $$BEGIN
            WHILE NOT EXISTS (
              SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
              WHERE NOT granted AND query LIKE 'CREATE INDEX CONC%%')
            LOOP
              PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
            END LOOP;
            PERFORM pg_sleep(%g);
          END$$; COMMIT]]):format(schema, sql, patience),
      })
      helper.wait(function()
        return psql [[SELECT count(*) FROM pg_locks
          WHERE locktype = 'advisory' AND objid = 77;]] == "1"
      end)
      return shell
    end

    it("stays where another program was sooner", function()
      local other = beside([[CREATE INDEX account_summary__b1__balance
        ON account_summary__b1 (balance)]], 0)
      assert(store:index(wanted))
      assert.equal(0, other:wait(), other:stderr())
      assert.equal(both, indexes())
    end)

    it("is made however short the role's timeouts are", function()
      local short = "SET %s = '1s';"
      for _, name in ipairs { "statement_timeout", "lock_timeout" } do
        psql(("ALTER DATABASE %s "):format(database.name)
          .. short:format(name))
      end
      finally(function()
        psql(("ALTER DATABASE %s RESET ALL;"):format(database.name))
      end)
      store:close()
      store = assert(kit.open(url))
      local other = beside("SET LOCAL statement_timeout = 0", 2.5)
      assert(store:index(wanted))
      assert.equal(0, other:wait(), other:stderr())
      assert.equal(both, indexes())
    end)
  end)

  describe("beside tables of others", function()
    it("does not take a name that is in use", function()
      psql "CREATE TABLE account_summary (x int);"
      local fence = assert(store:acquire("account_summary", "me"))
      fails("config", 'has a table "account_summary" already that is not this '
        .. "projection's", store:define(kit.account_schema(), fence))
      assert.same({}, store:list())
      psql [[DROP TABLE account_summary;
        CREATE VIEW account_summary__v1 AS SELECT 1;]]
      fails("config", 'a view "account_summary__v1"',
        store:define(kit.account_schema(), fence))
      psql [[DROP VIEW account_summary__v1;
        CREATE TABLE account_summary__b1 (x int);]]
      fails("config", 'a table "account_summary__b1"',
        store:define(kit.account_schema(), fence))
    end)

    it("leaves in place what somebody built upon a model", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { gone = { balance = 9 } }
      psql [[CREATE VIEW mine AS SELECT id, balance FROM account_summary;
        CREATE VIEW its AS SELECT id FROM account_summary__v1;
        GRANT SELECT ON account_summary TO PUBLIC;]]
      for _ = 1, 2 do
        assert(store:reset(owner.schema, owner.revision, owner.fence))
        owner.revision = owner.revision + 1
      end
      owner:commit { a = { balance = 1 } }
      assert.equal("a|1", psql "SELECT * FROM mine")
      assert.equal("a", psql "SELECT * FROM its")
      assert.matches("=r/", psql [[SELECT relacl FROM pg_class
        WHERE oid = 'account_summary'::regclass]])
    end)

    it("moves a value of a unique index from one that is deleted", function()
      local owner = kit.own(store, kit.account_schema())
      local models = {}
      for i = 1, 700 do
        models["m" .. i] = { owner = "o" .. i }
      end
      owner:commit(models, { all_new = true })
      psql "CREATE UNIQUE INDEX ON account_summary__b1 (owner);"
      for i = 1, 700 do
        models["m" .. i] = { owner = "p" .. i }
      end
      models.m700, models.m1 = false, { owner = "o700" }
      owner:commit(models)
      models.m700 = nil
      assert.same(models.m1, owner:load("m1").m1)
      assert.equal(699, #owner:query("select=id", "limit=2000"))
    end)

    it("names what is in the way of models with other columns", function()
      local owner = kit.own(store, kit.account_schema())
      psql "CREATE VIEW mine AS SELECT id FROM account_summary;"
      local other = kit.account_schema { version = 2, fields = { n = "text" } }
      fails("config", "view [^ ]*mine depends on view [^ ]*account_summary",
        store:reset(other, owner.revision, owner.fence))
      assert.equal(owner.revision, owner:checkpoint().revision)
      owner:commit { a = { balance = 1 } }
      local fields = { rest = "text" }
      for name, type in pairs(kit.account_fields) do
        fields[name] = type
      end
      psql [[DROP VIEW mine;
        CREATE VIEW mine AS SELECT id FROM account_summary;]]
      local more = kit.account_schema { version = 2, fields = fields,
        order = { "active", "balance", "last_activity", "owner", "rate",
          "tags", "rest" } }
      assert(store:reset(more, owner.revision, owner.fence))
      assert.equal("0", psql "SELECT count(*) FROM mine")
      assert.equal("t", psql [[SELECT to_regclass('account_summary__v1') IS NULL
        AND to_regclass('account_summary__v2') IS NOT NULL]])
      psql "CREATE TABLE mine_too (a text REFERENCES account_summary__b1);"
      fails("config", "constraint [^ ]* on table [^ ]*mine_too depends on",
        store:reset(more, owner.revision + 1, owner.fence))
    end)

    it("does not make readers wait for one who reads on", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      local reader = pg_session.open(database.url)
      reader:run("BEGIN; SELECT * FROM " .. schema .. ".account_summary")
      fails("unavailable", "a lock is held by process %d+ %(user postgres, "
        .. "program .*in a transaction since [%d:]+ UTC: BEGIN; SELECT",
        store:reset(owner.schema, owner.revision, owner.fence))
      fails("unavailable", "a lock is held by process",
        store:drop("account_summary", owner.revision, owner.fence))
      owner:commit { a = { balance = 2 } }
      reader:close()
      assert(store:reset(owner.schema, owner.revision, owner.fence))
    end)

    it("names a value that somebody changed into what it cannot be", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { rate = 1.5 }, b = { rate = 2.5 } }
      psql "UPDATE account_summary SET rate = 'NaN' WHERE id = 'a';"
      fails("io", 'account_summary__b1, id "a": column "rate" holds what is no '
        .. "number", store:load(owner.schema, { "a", "b" }))
      fails("io", 'id "a": column "rate"', store:query(owner.schema))
      psql [[UPDATE account_summary SET rate = 1;
        ALTER TABLE account_summary__b1 RENAME TO other;]]
      fails("config", "the table is missing",
        store:load(owner.schema, { "a" }))
    end)

    it("says which index a value is too long for", function()
      local owner = kit.own(store, kit.account_schema {
        indexes = { { "owner" } } })
      local long = {}
      for i = 1, 20000 do
        long[i] = utf8.char(0x4e00 + (i * i * 7919 + i) % 20000)
      end
      assert(store:index(owner.schema))
      fails("config", "take the long field out of `indexes`",
        owner:try_commit { a = { owner = table.concat(long) } })
      owner:commit { a = { owner = "short" } }
    end)
  end)

  describe("with json", function()
    local documents = {
      '{"b":1,"aa":2,"a":{"z":[],"y":{}},"Z":null}',
      "[1.0,1e+15,1e+300,-0.0,0.0,5e-324,1.7976931348623157e+308,0.1,-1e-07]",
      "[9223372036854775807,-9223372036854775808,0,-1]",
      "[9.2233720368547758e+18,-9.2233720368547758e+18,"
        .. "1.152921504606847e+18]",
      "[123456789012345680.0,1e+22,1.5,100.0,1e+16,12345678901234567.0]",
      '["","\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f","Ł😀",'
        .. '"\\u2028 not escaped"]',
      '{"":1,"\\"":2,"\\n":3,"a\\u0001":4,"ä":5}',
      "null", "true", '"text"', "0.0", "-0.0", "7", "[[[[]]]]", "{}",
    }

    -- The one form of it: what the engine's own encoder would write.
    local function canonical(text)
      local lunette = require "lunette"
      return lunette.encode(lunette.decode(text))
    end

    it("gives back what it was given, to the letter", function()
      local owner = kit.own(store, kit.schema())
      local models = {}
      for i, text in ipairs(documents) do
        models["d" .. i] = { model = { json = canonical(text) } }
      end
      owner:commit(models)
      for i in ipairs(documents) do
        assert.same(models["d" .. i], owner:load("d" .. i)["d" .. i])
      end
      local rows = owner:query "order=id"
      for _, row in ipairs(rows) do
        assert.same(models[row[1]].model, row[2])
      end
      assert.equal(#documents, #rows)
    end)

    it("puts what others have written into the one form", function()
      local owner = kit.own(store, kit.schema())
      owner:commit { a = { model = { json = "1" } } }
      psql [[UPDATE account_summary SET model =
        '{"z": 1.50, "aa": 1e2, "b": [ 1, 2 ]}';]]
      assert.equal('{"aa":100,"b":[1,2],"z":1.5}',
        owner:load("a").a.model.json)
    end)
  end)

  it("stores messages that are cut in the middle of a character", function()
    local owner = kit.own(store, kit.account_schema())
    owner:commit({}, { parked = {
      kit.aside(1, "a", { error = "no \xc5\xffend\0\xc5" }) } })
    assert.equal("no ??end??", store:parked("account_summary")[1].error)
    assert(store:publish { { projection = "a", owner = "\xf0\x9f", state = "x",
      waiting_for = "", last_error = "Ł\xc5", events_per_second = 0 } })
    assert.equal("Ł?", store:heartbeat("a").last_error)
    assert.equal("??", store:heartbeat("a").owner)
    local number = assert(store:request_post("a", "retry", "\xff"))
    assert(store:request_finish(number, "io", "\xff"))
    fails("io", "^%?$", store:request_result(number))
  end)

  it("keeps data that is no UTF-8 as what is no JSON either", function()
    local owner = kit.own(store, kit.account_schema())
    owner:commit({}, { parked = { kit.aside(1, "a", {
      data = '{"a":"\xc5\xff"}', metadata = '"\0"' }) } })
    local item = store:parked("account_summary")[1]
    assert.equal('{"a":"\x1a\x1a"}', item.data)
    assert.equal('"\x1a"', item.metadata)
  end)

  it("finds nobody under an id that is no UTF-8", function()
    local owner = kit.own(store, kit.account_schema())
    owner:commit { a = { balance = 1 } }
    assert.same({ a = { balance = 1 } }, owner:load("\xff", "a", "\xc5"))
  end)

  describe("with rights for little", function()
    before_each(function()
      database:sql [[
        DO $$ BEGIN
          IF to_regrole('models_owner') IS NULL THEN
            CREATE ROLE models_owner LOGIN;
            CREATE ROLE models_worker LOGIN;
            CREATE ROLE models_reader LOGIN;
          END IF;
        END $$;]]
    end)

    it("says what is missing and who can help", function()
      schema = "s_none_" .. schemas
      fails("config", "lunette_%* are missing in schema \"" .. schema
        .. '" and this role may not make them.*permission denied',
        kit.open(database:with("schema=" .. schema, "models_reader")))
    end)

    it("works where everything exists, without a right to create", function()
      local made = kit.own(store, kit.account_schema())
      made:commit { a = { balance = 1 } }
      store:release("account_summary", made.fence)
      psql(([[
        GRANT USAGE ON SCHEMA %s TO models_worker;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s
          TO models_worker;]]):format(schema, schema))
      local worker = assert(kit.open(
        database:with("schema=" .. schema, "models_worker")))
      local owner = kit.own(worker, kit.account_schema())
      owner:commit({ a = { balance = 2 } }, { parked = { kit.aside(1, "b") } })
      assert.equal(2, owner:load("a").a.balance)
      fails("config", "grant this role what it needs",
        worker:reset(owner.schema, owner.revision, owner.fence))
      worker:close()
    end)

    it("lets a reader read, and nothing else", function()
      local owner = kit.own(store, kit.account_schema())
      owner:commit({ a = { balance = 1 } }, { parked = { kit.aside(1, "b") } })
      psql(([[
        GRANT USAGE ON SCHEMA %s TO models_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA %s TO models_reader;
        ]]):format(schema, schema))
      local reader = assert(kit.open(
        database:with("schema=" .. schema, "models_reader")))
      assert.same({ a = { balance = 1 } }, reader:load(owner.schema, { "a" }))
      assert.equal(1, #reader:query(owner.schema, "balance=gt.0"))
      assert.equal(1, reader:checkpoint("account_summary").position)
      assert.equal(1, #reader:parked "account_summary")
      assert.same({ "account_summary" }, reader:list())
      fails("config", "permission denied", reader:acquire("other", "me"))
      fails("config", "permission denied",
        reader:request_post("account_summary", "pause"))
      reader:close()
      assert.equal("1", psql("SELECT count(*) FROM account_summary;",
        "models_reader"))
    end)
  end)

  it("takes turns at one connection where there is no other #threads",
    function()
      local own = server:new_database()
      local first = assert(kit.open(own.url, { connections = 1 }))
      local second = assert(first:connect())
      local owner = kit.own(first, kit.account_schema())
      owner.store = second
      owner:commit { a = { balance = 1 } }
      assert.same({ a = { balance = 1 } }, first:load(owner.schema, { "a" }))
      assert.equal("1", own:sql [[SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database()
        AND application_name = 'lunette']])
      local writer = assert(second:busy_writer(
        owner.schema, owner.revision, owner.fence, 100))
      for _ = 1, 50 do
        first:load(owner.schema, { "a" })
      end
      local done, failure = writer:stop()
      assert.is_nil(failure)
      assert.equal(owner.revision + done,
        first:checkpoint("account_summary").revision)
      second:close()
      assert(first:checkpoint "account_summary")
      first:close()
    end)
end)

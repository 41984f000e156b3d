-- Builds and shards of one projection in PostgreSQL: what people see of them,
-- and owners of shards who meet at what they share.

local helper = require "spec.helper"
local kit = require "spec.stores.model_kit"
local pg_session = require "pg_session"
local postgres = require "spec.postgres_server"
local proxies = require "proxy_test"

local server, why = postgres.start()

describe("builds in a postgres model store #postgres", function()
  if not server then
    pending(why)
    return
  end

  local database = server:new_database()
  local schemas = 0
  local schema, url, store

  before_each(function()
    collectgarbage()
    schemas = schemas + 1
    schema = "b" .. schemas
    url = database:with("schema=" .. schema)
    store = assert(kit.open(url))
  end)

  after_each(function()
    store:close()
  end)

  local function psql(sql)
    return database:sql("SET search_path = " .. schema .. ";\n" .. sql)
  end

  local function session()
    local opened = pg_session.open(database.url)
    opened:run("SET search_path = " .. schema)
    return opened
  end

  local function own(build, shard, account_schema)
    return kit.own(store, account_schema or kit.account_schema(),
      { "account_summary", build = build, shard = shard })
  end

  local function views()
    return psql(([[
      SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
      WHERE relkind = 'v' AND relnamespace = '%s'::regnamespace;]])
      :format(schema))
  end

  local function waits_for_a_lock()
    return psql [[SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'lunette'
      AND wait_event_type = 'Lock';]] ~= "0"
  end

  -- Another process that opens the store and runs a line of Lua.
  local function beside(line, ...)
    return helper.spawn { "lua5.4", "-e", ([[
      package.path = "./?.lua;" .. package.path
      local helper = require "spec.helper"
      local kit = require "spec.stores.model_kit"
      local store = assert(kit.open(%q))
    ]]):format(url) .. line:format(...) }
  end

  it("show the live one by the name and by the version", function()
    own(1, 0):commit { a = { balance = 1 } }
    assert.equal("account_summary account_summary__v1", views())
    own(2, 0, kit.account_schema { version = 2 })
      :commit { a = { balance = 2 } }
    assert.equal("account_summary account_summary__v1", views())
    assert.equal("1|1|2", psql [[
      SELECT a.balance, v.balance, b.balance FROM account_summary a,
        account_summary__v1 v, account_summary__b2 b;]])
  end)

  it("let the views follow a reset of the live one", function()
    local live = own(1, 0)
    local other = own(2, 0)
    other:commit { a = { balance = 2 } }
    assert(store:reset({ kit.account_schema { version = 3 }, build = 1 },
      live.revision, live.fence))
    assert.equal("account_summary account_summary__v3", views())
    assert(store:reset({ kit.account_schema { version = 4 }, build = 2 },
      other.revision, other.fence))
    assert.equal("account_summary account_summary__v3", views())
    assert.equal("0", psql "SELECT count(*) FROM account_summary__b2;")
  end)

  it("leave alone what is only called as theirs are", function()
    local owner = own(1, 0)
    psql [[CREATE TABLE account_summary__b7 AS SELECT 7 AS precious;
      CREATE VIEW account_summary__v9 AS SELECT 9 AS precious;]]
    assert(store:reset(owner.schema, owner.revision, owner.fence))
    assert(store:drop(owner.key, owner.revision + 1, owner.fence))
    assert.equal("account_summary__v9", views())
    assert.equal("7|9", psql [[SELECT b.precious, v.precious
      FROM account_summary__b7 b, account_summary__v9 v;]])
  end)

  it("keep the text of a bundle once for each hash", function()
    local first, second = own(1, 0), own(1, 1)
    local scripts = [[SELECT string_agg(concat_ws('|', build, hash, bundle,
      right(first_position, 1)), ' ' ORDER BY first_at)
      FROM lunette_scripts;]]
    first:commit({}, { position = 3, bundle_hash = "aa", bundle = "{A}" })
    first:commit({}, { position = 4, bundle_hash = "aa", bundle = "{A}" })
    second:commit({}, { position = 5, bundle_hash = "aa", bundle = "{A}" })
    second:commit({}, { position = 6, bundle_hash = "bb", bundle = "{B}" })
    first:commit({}, { position = 7, bundle_hash = "bb", bundle = "{B}" })
    assert.equal("1|aa|{A}|3 1|bb|{B}|6", psql(scripts))
  end)

  it("keep a bundle again that a reset has deleted", function()
    local owner = own(1, 0)
    local other = assert(store:connect())
    owner:commit()
    assert(other:reset(owner.schema, owner.revision, owner.fence))
    owner.revision = owner.revision + 1
    owner:commit()
    assert.equal(1, owner:checkpoint().script_count)
    other:close()
  end)

  it("do not hold each other's commits up, nor does the projection", function()
    local hasty = assert(kit.open(url, { busy_timeout_ms = 50 }))
    local owner = own(1, 1)
    local other = own(1, 0)
    owner.store = hasty
    owner:commit { a = { balance = 1 } }
    local holder = session()
    holder:run "BEGIN"
    holder:run "UPDATE lunette_projections SET paused = paused"
    holder:run "UPDATE lunette_owners SET owner = owner"
    holder:run "UPDATE lunette_checkpoints SET revision = 9 WHERE shard = 0"
    owner:commit { a = { balance = 2 } }
    holder:run "ROLLBACK"
    holder:close()
    other:commit { a = { balance = 3 } }
    hasty:close()
  end)

  it("are made once, whoever defines a shard of them meanwhile", function()
    local key = { "account_summary", build = 1, shard = 1 }
    assert(store:acquire(key, "the spec"))
    local holder = session()
    holder:run "BEGIN"
    holder:run [[INSERT INTO lunette_projections VALUES
      ('account_summary', NULL, 0, false, 1)]]
    local child = beside [[
      kit.own(store, kit.account_schema(), "account_summary")]]
    helper.wait(waits_for_a_lock)
    local another = beside [[
      kit.own(store, kit.account_schema(),
        { "account_summary", build = 1, shard = 2 })]]
    helper.wait(function()
      return psql [[SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'lunette'
        AND wait_event_type = 'Lock';]] == "2"
    end)
    holder:run "COMMIT"
    holder:close()
    assert.equal(0, child:wait(), child:stderr())
    assert.equal(0, another:wait(), another:stderr())
    assert.equal("2|1", psql [[SELECT (SELECT count(*) FROM
      lunette_checkpoints), (SELECT count(*) FROM lunette_builds);]])
  end)

  describe("with a commit under way", function()
    local proxy, late

    before_each(function()
      local dir = helper.tmpdir()
      proxy = proxies.start(dir .. "/.s.PGSQL.5432",
        server.dir .. "/.s.PGSQL.5432")
      local there = assert(kit.open(url:gsub("host=[^&]*", "host=" .. dir),
        { call_timeout_ms = 500 }))
      late = kit.own(there, kit.account_schema(),
        { "account_summary", build = 1, shard = 1 })
    end)

    after_each(function()
      proxy:close()
    end)

    local function commit_late()
      proxy:rule("\0COMMIT\0", "late")
      local ok, message, code = late:try_commit({}, {
        parked = { kit.aside(1, "a") } })
      assert.is_nil(ok)
      assert.equal("timeout", code, message)
    end

    it("are reset when it has ended, with what it parked", function()
      local owner = own(1, 0)
      commit_late()
      local child = beside([[
        assert(store:reset(kit.account_schema(), %d, %d))]],
        owner.revision, owner.fence)
      helper.wait(waits_for_a_lock)
      proxy:let_go()
      assert.equal(0, child:wait(), child:stderr())
      local c = late:checkpoint()
      assert.equal(late.revision + 2, c.revision)
      assert.equal(0, c.parked_count)
      assert.equal("0", psql "SELECT count(*) FROM lunette_scripts;")
    end)

    it("do not end it when another shard is acquired", function()
      local owner = own(1, 0)
      commit_late()
      assert(store:acquire(owner.key, "me"))
      assert(store:acquire(owner.key, "me"))
      proxy:let_go()
      helper.wait(function()
        return late:checkpoint().revision == late.revision + 1
      end)
    end)
  end)
end)

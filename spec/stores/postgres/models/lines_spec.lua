-- Many handles of a model store in PostgreSQL, and few connections.

local helper = require "spec.helper"
local kit = require "spec.stores.model_kit"
local postgres = require "spec.postgres_server"
local proxies = require "proxy_test"

local server, why = postgres.start()

describe("connections of the postgres model store #postgres #threads",
  function()
    if not server then
      pending(why)
      return
    end

    local database

    before_each(function()
      collectgarbage()
      database = server:new_database()
    end)

    after_each(function()
      collectgarbage()
    end)

    local function count_connections()
      return tonumber(database:sql [[SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database()
        AND application_name = 'lunette']])
    end

    local function own(store, number)
      local name = "p" .. number
      return kit.own(assert(store:connect()),
        kit.account_schema { projection = name }, name)
    end

    -- Handles that write at the same time, each a projection of its own.
    local function start_writers(store, count)
      local writers = {}
      for i = 1, count do
        local owner = own(store, i)
        writers[i] = { owner = owner, writer = assert(store:busy_writer(
          owner.schema, owner.revision, owner.fence, 10)) }
      end
      return writers
    end

    local function stop_writers(store, writers)
      for _, each in ipairs(writers) do
        local done, failure = each.writer:stop()
        assert.is_nil(failure)
        assert.equal(each.owner.revision + done,
          store:checkpoint(each.owner.key).revision)
      end
    end

    it("are as many as are allowed, whoever uses them", function()
      local store = assert(kit.open(database.url, { connections = 3 }))
      local writers = start_writers(store, 8)
      for _ = 1, 30 do
        assert(store:list())
        assert.is_true(count_connections() <= 3)
      end
      stop_writers(store, writers)
    end)

    it("are one where one call comes after the other", function()
      local store = assert(kit.open(database.url))
      for i = 1, 20 do
        local owner = own(store, i)
        owner:commit { a = { balance = 1 } }
      end
      assert.equal(1, count_connections())
    end)

    it("go on fewer where the server takes no more", function()
      database:sql [[
        DO $$ BEGIN
          IF to_regrole('limited') IS NULL THEN
            CREATE ROLE limited LOGIN CONNECTION LIMIT 2;
          END IF;
        END $$;
        CREATE SCHEMA few AUTHORIZATION limited;]]
      local store = assert(kit.open(
        database:with("schema=few", "limited"), { connections = 10 }))
      local writers = start_writers(store, 6)
      for _ = 1, 30 do
        assert(store:list())
      end
      stop_writers(store, writers)
    end)

    it("that are refused, all of them, are told of", function()
      database:sql [[CREATE ROLE closed LOGIN CONNECTION LIMIT 1;
        CREATE SCHEMA closed AUTHORIZATION closed;]]
      local url = database:with("schema=closed", "closed")
      local store = assert(kit.open(url))
      local _, message, code = kit.open(url)
      assert.equal("unavailable", code)
      assert.matches("too many connections for role \"closed\"", message)
      store:close()
    end)

    it("that were cut meanwhile are made anew", function()
      local store = assert(kit.open(database.url))
      local owner = kit.own(store, kit.account_schema())
      owner:commit { a = { balance = 1 } }
      database:terminate()
      helper.wait(function()
        return count_connections() == 0
      end)
      owner:commit { a = { balance = 2 } }
      assert.equal(2, owner:load("a").a.balance)
    end)

    it("are lost again and again, and nothing else is", function()
      local store = assert(kit.open(database.url, { connections = 2 }))
      local owners = { own(store, 1), own(store, 2), own(store, 3) }

      -- What became of it is what the checkpoint says.
      local function commit(owner, balance)
        repeat
          database:terminate()
          local ok, message, code = owner:try_commit {
            a = { balance = balance } }
          if not ok then
            assert.is_true(code == "unavailable" or code == "timeout", message)
          end
          local c = helper.wait(function()
            return store:checkpoint(owner.key)
          end)
          local landed = c.revision == owner.revision + 1
          assert.is_true(landed or not ok and c.revision == owner.revision)
          owner.revision, owner.position = c.revision, c.position
        until landed
      end
      for round = 1, 10 do
        for _, owner in ipairs(owners) do
          commit(owner, round)
        end
      end
      for _, owner in ipairs(owners) do
        assert.equal(10, owner:load("a").a.balance)
        assert.equal(10, owner:checkpoint().position)
      end
    end)

    it("that do not answer are known of before the next call", function()
      local dir = helper.tmpdir()
      local proxy = proxies.start(dir .. "/.s.PGSQL.5432",
        server.dir .. "/.s.PGSQL.5432")
      local store = assert(kit.open(
        database.url:gsub("host=[^&]*", "host=" .. dir),
        { call_timeout_ms = 200 }))
      local other = assert(store:connect_kept())
      assert.is_false(other:is_away())
      proxy:stall()
      local _, message = store:list()
      assert.matches("did not answer", message)
      assert.is_true(other:is_away())
      proxy:resume()
      assert(other:list())
      assert.is_false(other:is_away())
      proxy:rule("lunette_projections", "before")
      assert.is_nil(store:list())
      assert.is_true(proxy:fired())
      assert.is_false(other:is_away())
      store:close()
      other:close()
      proxy:close()
    end)

    it("are kept for one handle, and opened for it first", function()
      local store = assert(kit.open(database.url, { connections = 2 }))
      local kept = assert(store:connect_kept())
      assert.equal(1, count_connections())
      local writers = start_writers(store, 3)
      for _ = 1, 20 do
        assert(kept:list())
        assert.is_true(count_connections() <= 2)
      end
      stop_writers(store, writers)
      kept:close()
      assert(store:list())
    end)
  end)

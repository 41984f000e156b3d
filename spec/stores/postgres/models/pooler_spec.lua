-- All of it through PgBouncer in transaction mode, where every transaction may
-- have another session.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local contract = require "spec.stores.model_store_contract"
local kit = require "spec.stores.model_kit"
local pg_session = require "pg_session"

local server, reason = postgres.start()
local pooler
if server then
  pooler, reason = server:pooler()
end

describe("a postgres model store behind a pooler #postgres", function()
  if not pooler then
    pending(reason)
    return
  end

  local database = server:new_database()
  local schemas = 0

  teardown(function()
    collectgarbage()
    pooler:stop()
  end)

  local function new_url()
    collectgarbage()
    schemas = schemas + 1
    return pooler:url(database.name, "schema=pooled_" .. schemas)
  end

  contract(function()
    return assert(kit.open(new_url()))
  end)

  it("says what to do where the role's timeout ends the making of an index",
    function()
      local place = server:new_database()
      place:sql(("ALTER DATABASE %s SET statement_timeout = '1s'")
        :format(place.name))
      local store = assert(kit.open(pooler:url(place.name)))
      local wanted = kit.account_schema { indexes = { { "balance" } } }
      kit.own(store, wanted)
      local holder = pg_session.open(place.url)
      holder:run "BEGIN ISOLATION LEVEL REPEATABLE READ"
      holder:run "SELECT 1"
      local ok, message, code = store:index(wanted)
      assert.is_nil(ok)
      assert.equal("unavailable", code)
      assert.matches("has set applies: ALTER ROLE", message)
      assert.equal("0", place:sql [[
        SELECT count(*) FROM pg_index WHERE NOT indisvalid]])
      holder:close()
      assert(store:index(wanted))
      store:close()
    end)

  it("survives the pooler's restart", function()
    local store = assert(kit.open(new_url()))
    local owner = kit.own(store, kit.account_schema())
    owner:commit { a = { balance = 1 } }
    pooler:stop()
    local ok, _, code = owner:try_commit { a = { balance = 2 } }
    assert.is_nil(ok)
    assert.equal("unavailable", code)
    pooler:start()
    helper.wait(function()
      return owner:try_commit { a = { balance = 2 } }
    end)
    assert.equal(2, owner:load("a").a.balance)
    store:close()
  end)
end)

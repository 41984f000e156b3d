local helper = require "spec.helper"
local servers = require "spec.postgres_server"
local sqlite = require "spec.bench.sqlite_shell"

describe("the hand-written program", function()
  it("comes to the same models as Lunette", function()
    local folder = helper.tmpdir()
    assert.equal(0, (helper.run { helper.build .. "/bench/generate",
      "sqlite:" .. folder .. "/events.db", "5000", "200" }))
    assert.equal(0, (helper.run { helper.build .. "/bench/floor_sqlite",
      folder .. "/events.db", folder .. "/floor.db", "700" }))
    local code, _, err = helper.run { helper.lunette, "run", "--once",
      "-e", "sqlite:" .. folder .. "/events.db",
      "-m", "sqlite:" .. folder .. "/models.db",
      "-p", helper.root .. "/projections/account_summary.lua" }
    assert.equal(0, code, err)
    local all = "SELECT id, balance, last_activity, owner, transaction_count "
      .. "FROM account_summary__b1 ORDER BY id"
    local expected = sqlite(folder .. "/floor.db", all)
    assert.equal(200, select(2, expected:gsub("\n", "\n")))
    assert.equal(expected, sqlite(folder .. "/models.db", all))
  end)

  it("keeps the indexes that it is asked for", function()
    local folder = helper.tmpdir()
    helper.run { helper.build .. "/bench/generate",
      "sqlite:" .. folder .. "/events.db", "300", "20" }
    assert.equal(0, (helper.run { helper.build .. "/bench/floor_sqlite",
      folder .. "/events.db", folder .. "/floor.db", "70", "balance",
      "owner, balance" }))
    assert.equal("balance\nowner,balance\n", sqlite(folder .. "/floor.db",
      "SELECT (SELECT group_concat(name) FROM pragma_index_info(i.name)) "
      .. "FROM pragma_index_list('account_summary__b1') i "
      .. "WHERE origin = 'c' ORDER BY 1"))
  end)

  it("commits once a batch in PostgreSQL, however many a page holds", function()
    local server, reason = servers.start()
    if not server then
      pending(reason)
      return
    end
    local log, models = server:new_database(), server:new_database()
    local function last_transaction()
      return tonumber(models:sql "SELECT pg_current_xact_id()")
    end
    assert.equal(0, (helper.run { helper.build .. "/bench/generate", log.url,
      "3000", "200" }))
    local function commits(batch)
      local before = last_transaction()
      assert.equal(0, (helper.run { helper.build .. "/bench/floor_postgres",
        log.url, models.url, batch }))
      return last_transaction() - before
    end
    local whole = commits "3000"
    assert.equal(whole + 4, commits "700")
  end)

  it("comes to the same models in PostgreSQL in any batch size", function()
    local server, reason = servers.start()
    if not server then
      pending(reason)
      return
    end
    local log, models = server:new_database(), server:new_database()
    assert.equal(0, (helper.run { helper.build .. "/bench/generate", log.url,
      "6000", "200" }))
    local code, _, err = helper.run { helper.lunette, "run", "--once",
      "-e", log.url, "-m", models.url,
      "-p", helper.root .. "/projections/account_summary.lua" }
    assert.equal(0, code, err)
    local function models_in(schema)
      return models:sql(([[SELECT id, balance, last_activity, owner,
        transaction_count FROM %s.account_summary__b1 ORDER BY id]])
        :format(schema))
    end
    local expected = models_in "lunette"
    assert.equal(199, select(2, expected:gsub("\n", "\n")))
    for _, batch in ipairs { "700", "5000", "50000" } do
      assert.equal(0, (helper.run { helper.build .. "/bench/floor_postgres",
        log.url, models.url, batch }))
      assert.equal(expected, models_in "floor")
    end
  end)
end)

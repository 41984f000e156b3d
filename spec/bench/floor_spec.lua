local helper = require "spec.helper"
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
end)

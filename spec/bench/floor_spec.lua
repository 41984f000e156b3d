local helper = require "spec.helper"

local function sql(file, statement)
  local code, out, err = helper.run { "sqlite3", file, statement }
  assert.equal(0, code, err)
  return out
end

local function generate(file, events, accounts)
  local code, _, err = helper.run { helper.build .. "/bench/generate",
    "sqlite:" .. file, tostring(events), tostring(accounts) }
  assert.equal(0, code, err)
end

describe("the generator", function()
  it("makes the same events for the same numbers", function()
    local folder = helper.tmpdir()
    generate(folder .. "/a.db", 2500, 100)
    generate(folder .. "/b.db", 2500, 100)
    local all = "SELECT * FROM events ORDER BY position"
    assert.equal(sql(folder .. "/a.db", all), sql(folder .. "/b.db", all))
  end)

  it("makes banking events of about 200 bytes", function()
    local file = helper.tmpdir() .. "/events.db"
    generate(file, 2500, 100)
    assert.equal("AccountOpened MoneyDeposited MoneyWithdrawn "
      .. "TransferCompleted\n", sql(file,
      "SELECT group_concat(type, ' ') FROM (SELECT DISTINCT type FROM events "
      .. "ORDER BY type)"))
    local bytes = tonumber(sql(file, "SELECT avg(length(data)) FROM events"))
    assert.is_true(bytes > 180 and bytes < 230, bytes)
  end)
end)

describe("the hand-written program", function()
  it("comes to the same models as Lunette", function()
    local folder = helper.tmpdir()
    generate(folder .. "/events.db", 5000, 200)
    assert.equal(0, (helper.run { helper.build .. "/bench/floor_sqlite",
      folder .. "/events.db", folder .. "/floor.db", "700" }))
    local code, _, err = helper.run { helper.lunette, "run", "--once",
      "-e", "sqlite:" .. folder .. "/events.db",
      "-m", "sqlite:" .. folder .. "/models.db",
      "-p", helper.root .. "/projections/account_summary.lua" }
    assert.equal(0, code, err)
    local all = "SELECT id, balance, last_activity, owner, transaction_count "
      .. "FROM account_summary__b1 ORDER BY id"
    local expected = sql(folder .. "/floor.db", all)
    assert.equal(200, select(2, expected:gsub("\n", "\n")))
    assert.equal(expected, sql(folder .. "/models.db", all))
  end)
end)

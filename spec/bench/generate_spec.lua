local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local sqlite = require "spec.bench.sqlite_shell"

local function generate(url, events, accounts)
  local code, _, err = helper.run { helper.build .. "/bench/generate", url,
    tostring(events), tostring(accounts) }
  assert.equal(0, code, err)
end

-- The events of one log appended to another, as anybody can.
local function append_all(from, to)
  local code, _, err = helper.run(("%s events --limit 0 --json -e '%s' | "
    .. "%s import -e '%s' -"):format(helper.lunette, from, helper.lunette, to))
  assert.equal(0, code, err)
end

local function events(file)
  return sqlite(file, "SELECT * FROM events ORDER BY position")
end

describe("the generator", function()
  it("makes banking events of about 200 bytes", function()
    local file = helper.tmpdir() .. "/events.db"
    generate("sqlite:" .. file, 2500, 100)
    assert.equal("AccountOpened MoneyDeposited MoneyWithdrawn "
      .. "TransferCompleted\n", sqlite(file,
      "SELECT group_concat(type, ' ') FROM (SELECT DISTINCT type FROM events "
      .. "ORDER BY type)"))
    local bytes = tonumber(sqlite(file,
      "SELECT avg(length(data)) FROM events"))
    assert.is_true(bytes > 180 and bytes < 230, bytes)
  end)

  it("makes the same log in one go and in several", function()
    local folder = helper.tmpdir()
    generate("sqlite:" .. folder .. "/one.db", 2531, 100)
    for _, length in ipairs { 0, 40, 1100, 2531, 2531 } do
      generate("sqlite:" .. folder .. "/several.db", length, 100)
    end
    assert.is_true(events(folder .. "/one.db")
      == events(folder .. "/several.db"))
  end)

  it("leaves a file that appending would have left", function()
    local folder = helper.tmpdir()
    local filled, appended = folder .. "/filled.db", folder .. "/appended.db"
    generate("sqlite:" .. filled, 2531, 100)
    assert.equal("wal\n", sqlite(filled, "PRAGMA journal_mode"))
    append_all("sqlite:" .. filled, "sqlite:" .. appended)
    assert.equal("ok\n", sqlite(filled, "PRAGMA integrity_check"))
    for _, question in ipairs {
      "SELECT * FROM events ORDER BY position",
      "SELECT * FROM sqlite_sequence",
      "SELECT sql FROM sqlite_schema ORDER BY name",
      "PRAGMA application_id",
    } do
      assert.is_true(sqlite(appended, question) == sqlite(filled, question),
        question)
    end
  end)
end)

describe("the generator on a server #postgres", function()
  local server, reason = postgres.start()
  if not server then
    pending(reason)
    return
  end

  it("leaves a table that appending would have left", function()
    local filled, appended = server:new_database(), server:new_database()
    generate(filled.url, 1100, 100)
    generate(filled.url, 2531, 100)
    append_all(filled.url, appended.url)
    for _, question in ipairs {
      [[SELECT position, id, stream, version, type, data, metadata, recorded_at
        FROM lunette_events ORDER BY transaction_id, position]],
      [[SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid = 'lunette_events'::regclass ORDER BY conname]],
      [[SELECT indexdef FROM pg_indexes WHERE tablename = 'lunette_events'
        ORDER BY indexname]],
    } do
      assert.is_true(appended:sql(question) == filled:sql(question), question)
    end
    filled:drop()
    appended:drop()
  end)
end)

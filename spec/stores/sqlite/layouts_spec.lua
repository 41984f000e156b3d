-- Other people's tables in SQLite files, read as events.

local helper = require "spec.helper"
local event_store = require "event_store_test"

local tables = {
  emmett = [[
    CREATE TABLE emt_messages (
      stream_id TEXT NOT NULL,
      stream_position BIGINT NOT NULL,
      partition TEXT NOT NULL DEFAULT 'global',
      message_kind CHAR(1) NOT NULL DEFAULT 'E',
      message_data JSONB NOT NULL,
      message_metadata JSONB NOT NULL,
      message_schema_version TEXT NOT NULL DEFAULT '1',
      message_type TEXT NOT NULL,
      message_id TEXT NOT NULL,
      is_archived BOOLEAN NOT NULL DEFAULT FALSE,
      global_position INTEGER PRIMARY KEY,
      created DATETIME DEFAULT CURRENT_TIMESTAMP
    );
    INSERT INTO emt_messages (stream_id, stream_position, message_kind,
      message_data, message_metadata, message_type, message_id, is_archived,
      created)
    VALUES
      ('a', 1, 'E', '{"n":1}', '{"by":"me"}', 'Moved', 'm1', FALSE,
        '2024-01-02 03:04:05'),
      ('a', 2, 'C', '{"n":2}', '{}', 'Move', 'm2', FALSE,
        '2024-01-02 03:04:05'),
      ('a', 2, 'E', '{"n":3}', '{}', 'Moved', 'm3', TRUE,
        '2024-01-02 03:04:05'),
      ('a', 3, 'E', '{"n":4}', '{}', 'Moved', 'm4', FALSE,
        '2024-01-02 03:04:05');
  ]],
  eventcore = [[
    CREATE TABLE eventcore_events (
      event_id TEXT PRIMARY KEY,
      stream_id TEXT NOT NULL,
      stream_version INTEGER NOT NULL,
      event_type TEXT NOT NULL,
      event_data TEXT NOT NULL,
      metadata TEXT NOT NULL,
      created_at TEXT NOT NULL,
      UNIQUE (stream_id, stream_version)
    );
    INSERT INTO eventcore_events VALUES
      ('0190d2c8-0000-7000-8000-000000000002', 'a', 1, 'Account',
        '{"Opened":{"n":1}}', '{}', '2024-01-02T03:04:05.250Z'),
      ('0190d2c8-0000-7000-8000-000000000001', 'a', 2, 'Account',
        '"Closed"', '{}', '2024-01-02T03:04:05.250Z');
  ]],
}

describe("a layout of a sqlite event store", function()
  local folder, store

  before_each(function()
    folder = helper.tmpdir()
  end)

  after_each(function()
    if store then
      store:close()
    end
  end)

  local function sql(statement)
    local code, out, err =
      helper.run({ "sqlite3", folder .. "/other.db" }, { stdin = statement })
    assert(code == 0, err)
    return out
  end

  local function open(query)
    local message, code
    store, message, code =
      event_store.open("sqlite:" .. folder .. "/other.db?" .. query)
    return store, message, code
  end

  local function column(page, name)
    local values = {}
    for i, event in ipairs(page) do
      values[i] = event[name]
    end
    return values
  end

  it("reads emmett, but no commands and nothing archived", function()
    sql(tables.emmett)
    local page = assert(assert(open "layout=emmett"):read { max = 10 })
    assert.same({ "m1", "m4" }, column(page, "id"))
    assert.same({ 1, 3 }, column(page, "version"))
    assert.same({ "1", "4" }, column(page, "position"))
    assert.equal('{"n":1}', page[1].data)
    assert.equal('{"by":"me"}', page[1].metadata)
    assert.equal(1704164645000000, page[1].recorded_at)
    assert.is_true(page.at_head)
  end)

  it("reads data that are numbers, which SQLite keeps as such", function()
    sql(tables.emmett)
    for data, read in pairs { ["5"] = "5", ["-0.5"] = "-0.5", ["1e3"] = "1000",
      ["0.30000000000000004"] = "0.30000000000000004" } do
      sql("UPDATE emt_messages SET message_data = '" .. data
        .. "', message_metadata = '" .. data .. "'")
      local page = assert(assert(open "layout=emmett"):read { max = 10 })
      assert.equal(read, page[1].data)
      assert.equal(read, page[1].metadata)
    end
  end)

  it("sees an event of emmett whose kind is null", function()
    sql((tables.emmett:gsub("CHAR%(1%) NOT NULL", "CHAR(1)")))
    sql "UPDATE emt_messages SET message_kind = NULL WHERE message_id = 'm1'"
    local page = assert(assert(open "layout=emmett"):read { max = 10 })
    assert.same({ "m1", "m4" }, column(page, "id"))
  end)

  it("has emmett's partition as the tenant, and reads one alone", function()
    sql(tables.emmett)
    sql [[INSERT INTO emt_messages (stream_id, stream_position, partition,
        message_data, message_metadata, message_type, message_id)
      VALUES ('a', 1, 'it''s & more', '{}', '{}', 'Moved', 'other')]]
    local page = assert(assert(open "layout=emmett"):read { max = 10 })
    assert.same({ "global", "global", "it's & more" }, column(page, "tenant"))
    assert.equal(3, page.tenants_from)
    local all = store:identity()
    store:close()
    local query = "layout=emmett&tenant=it's%20%26%20more"
    assert(open(query))
    assert.are_not.equal(all, store:identity())
    for _ = 1, 2 do
      page = assert(store:read { max = 10 })
      assert.same({ "other" }, column(page, "id"))
      assert.equal(1, #assert(store:read { max = 10, stream = "a" }))
      assert.equal(1, store:lag({}).events)
    end
    local rest = assert(store:read {
      max = 10, after = page.reached, state = page.state,
    })
    assert.equal(0, #rest)
    local other = assert(store:connect())
    assert.equal(1, #assert(other:read { max = 10 }))
    other:close()
  end)

  it("has no tenants where there are none", function()
    sql(tables.eventcore)
    local _, message, code = open "layout=eventcore&tenant=acme"
    assert.equal("config", code)
    assert.matches("events of layout=eventcore have no tenant", message)
    local page = assert(assert(open "layout=eventcore"):read { max = 10 })
    assert.is_nil(page[1].tenant)
    assert.matches("^A", page.state)
  end)

  it("takes the times of others as text, in UTC where it does not say",
    function()
      sql(tables.eventcore)
      for text, us in pairs {
        ["2024-01-02 03:04:05.123456"] = 1704164645123456,
        ["2024-01-02 03:04:05.1234569"] = 1704164645123456,
        ["2024-01-02T03:04:05"] = 1704164645000000,
        ["2024-01-02T05:04:05+02:00"] = 1704164645000000,
        ["2024-01-02 05:04:05+02"] = 1704164645000000,
        ["2024-01-02"] = 1704153600000000,
        ["1969-12-31 23:59:59.5"] = -500000,
        ["infinity"] = "infinity",
        ["-infinity"] = "-infinity",
      } do
        sql("UPDATE eventcore_events SET created_at = '" .. text .. "'")
        local page = assert(assert(open "layout=eventcore"):read { max = 1 })
        assert.equal(us, page[1].recorded_at, text)
        assert.equal(us, store:lag { after = "0" }.oldest_recorded_at)
        store:close()
      end
      for _, other in ipairs { "soon", "1704164645", "", "10000-01-01",
        "-0001-01-01", "2024-02-30 00:00:00" } do
        sql("UPDATE eventcore_events SET created_at = '" .. other .. "'")
        local page, message = assert(open "layout=eventcore"):read { max = 1 }
        assert.is_nil(page)
        assert.matches("position 1: recorded_at is no time such as", message)
        assert.is_nil(store:lag { after = "0" }.oldest_recorded_at)
        store:close()
      end
      store = nil
    end)

  it("knows no time where there is none", function()
    sql(tables.emmett)
    sql "UPDATE emt_messages SET created = NULL"
    local page = assert(assert(open "layout=emmett"):read { max = 1 })
    assert.is_nil(page[1].recorded_at)
    assert.same({ events = 2, exact = true }, store:lag { after = "0" })
  end)

  it("goes on after an event that was archived meanwhile", function()
    sql(tables.emmett)
    local page = assert(assert(open "layout=emmett"):read { max = 10 })
    sql "UPDATE emt_messages SET is_archived = TRUE"
    local again = assert(store:read {
      max = 10, after = page.reached, state = page.state,
    })
    assert.equal(0, #again)
  end)

  it("reads eventcore in the order of its commits, unwrapped", function()
    sql(tables.eventcore)
    local page = assert(assert(open "layout=eventcore"):read { max = 10 })
    assert.same({ "Opened", "Closed" }, column(page, "type"))
    assert.same({ '{"n":1}', "null" }, column(page, "data"))
    assert.equal(1704164645250000, page[1].recorded_at)
    page = assert(store:read { max = 10, types = { "Closed" } })
    assert.same({ "2" }, column(page, "position"))
  end)

  it("names an event of eventcore with no type in it", function()
    sql(tables.eventcore)
    for data, words in pairs {
      ['"{\\"Opened\\": {}}"'] = "is JSON in a string, encoded twice",
      ['{"": 1}'] = "has an empty type in it",
    } do
      sql("UPDATE eventcore_events SET event_data = '" .. data .. "'")
      local page, message = assert(open "layout=eventcore"):read { max = 10 }
      assert.is_nil(page)
      assert.matches("event at position 1: data " .. words, message)
    end
  end)

  it("leaves the data of eventcore as it is, if told so", function()
    sql(tables.eventcore)
    local page =
      assert(assert(open "layout=eventcore&unwrap=no"):read { max = 10 })
    assert.same({ "Account", "Account" }, column(page, "type"))
    assert.equal('{"Opened":{"n":1}}', page[1].data)
  end)

  it("reads one stream", function()
    sql(tables.emmett)
    local page =
      assert(assert(open "layout=emmett"):read { max = 10, stream = "a" })
    assert.same({ "m1", "m4" }, column(page, "id"))
    assert.equal(0, #assert(store:read { max = 10, stream = "b" }))
  end)

  it("is not appended to", function()
    sql(tables.emmett)
    local _, message, code = assert(open "layout=emmett"):append {
      { stream = "a", type = "Moved", data = "{}" },
    }
    assert.equal("config", code)
    assert.matches("belongs to emmett and is only read", message)
    _, _, code = store:begin()
    assert.equal("config", code)
  end)

  it("refuses a file that is not there, without making it", function()
    local _, message, code = open "layout=emmett"
    assert.equal("config", code)
    assert.matches("there is no such file", message)
    local file = io.open(folder .. "/other.db")
    assert.is_nil(file)
  end)

  it("refuses other tables and other words", function()
    sql(tables.emmett)
    local _, message, code = open "layout=eventcore"
    assert.equal("config", code)
    assert.matches("does not have the tables of layout=eventcore", message)
    _, message = open "layout=marten"
    assert.matches('there is no layout "marten"; write emmett or eventcore',
      message)
    _, message = open "layout=emmett&x=1"
    assert.matches('there is no parameter "x" of a URL', message)
  end)

  local unordered = {
    ["a view"] = { tables.emmett .. [[
      ALTER TABLE emt_messages RENAME TO hidden;
      CREATE VIEW emt_messages AS SELECT * FROM hidden]], "is no table" },
    ["a key that may be null"] = {
      (tables.emmett:gsub("INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY")),
      "global_position of .* is not its INTEGER PRIMARY KEY",
    },
    ["a key that is no rowid"] = {
      (tables.emmett:gsub("INTEGER PRIMARY KEY", "%0 DESC")),
      "global_position of .* is not its INTEGER PRIMARY KEY",
    },
    ["a key of two columns"] = {
      (tables.emmett:gsub("INTEGER PRIMARY KEY", "INTEGER", 1)
        :gsub("%);", ", PRIMARY KEY (global_position, created));", 1)),
      "global_position of .* is not its INTEGER PRIMARY KEY",
    },
    ["a table without rowids"] = {
      tables.emmett:match "^(.-%));" .. " WITHOUT ROWID",
      "global_position of .* is not its INTEGER PRIMARY KEY",
    },
    ["a column that is called rowid"] = {
      (tables.eventcore:match "^.-%);":gsub("stream_id TEXT", "rowid, %0")),
      "the column rowid of .* is not its INTEGER PRIMARY KEY", "eventcore",
    },
    ["a position below the first"] = {
      tables.emmett .. "UPDATE emt_messages SET global_position = -3 "
        .. "WHERE message_id = 'm1'", "an event at position %-3",
    },
  }
  for name, case in pairs(unordered) do
    it("refuses " .. name, function()
      sql(case[1])
      local _, message, code = open("layout=" .. (case[3] or "emmett"))
      assert.equal("config", code)
      assert.matches(case[2], message)
    end)
  end
end)

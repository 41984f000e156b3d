local helper = require "spec.helper"
local event_store = require "event_store_test"
local contract = require "spec.stores.event_store_contract"

local function new_path()
  return helper.tmpdir() .. "/events.db"
end

local function open(path, options)
  return event_store.open("sqlite:" .. path, options)
end

-- What the sqlite3 shell says to SQL, with its defaults.
local function shell(path, sql)
  local code, output, errors = helper.run({ "sqlite3", path }, { stdin = sql })
  assert(code == 0, errors)
  return (output:gsub("\n$", ""))
end

local function event(stream, data)
  return { stream = stream, type = "Moved", data = data or "{}" }
end

local function events_of(stream, count)
  local events = {}
  for i = 1, count do
    events[i] = event(stream, tostring(i))
  end
  return events
end

-- Lua in a process of its own; `store` is an open store of path.
local function run_lua(path, body, options)
  return helper.run({ "lua5.4", "-e", ([[
    package.path = "./?.lua;" .. package.path
    require "spec.helper"
    local event_store = require "event_store_test"
    if os.getenv "BECOME" then
      event_store.become(tonumber(os.getenv "BECOME"))
    end
    local store, message, code = event_store.open("sqlite:%s")
    if not store then print(code, message) os.exit(3) end
    %s
  ]]):format(path, body) }, options)
end

local INSERT = "INSERT INTO events (stream, version, type, data) "

describe("a sqlite event store", function()
  contract {
    url = function()
      return "sqlite:" .. new_path()
    end,
    options = { busy_timeout_ms = 50 },
  }

  local path, store

  before_each(function()
    path = new_path()
    store = assert(open(path))
  end)

  after_each(function()
    store:close()
  end)

  describe("that must exist", function()
    it("is not made", function()
      local absent = new_path()
      local there, message, code = open(absent, { must_exist = true })
      assert.is_nil(there)
      assert.equal("config", code)
      assert.matches(absent .. " does not exist: ", message, 1, true)
      assert.is_nil(io.open(absent))
    end)

    it("is opened, and so are connections from it", function()
      local there = assert(open(path, { must_exist = true }))
      local other = assert(there:connect())
      assert.equal(there:identity(), other:identity())
      other:close()
      there:close()
    end)

    it("gets an identity in a table made by hand", function()
      local by_hand = new_path()
      shell(by_hand, "CREATE TABLE events (position INTEGER PRIMARY KEY, id, "
        .. "stream, version, type, data, metadata, recorded_at)")
      assert(open(by_hand, { must_exist = true })):close()
    end)
  end)

  describe("as a table", function()
    it("takes rows of any program, with defaults", function()
      shell(path, INSERT .. "VALUES ('a', 1, 'Opened', '{\"x\":1}');")
      shell(path, INSERT .. "SELECT 'a', max(version) + 1, 'Moved', 'null' "
        .. "FROM events WHERE stream = 'a';")
      local page = assert(store:read {})
      assert.equal(2, #page)
      assert.equal('{"x":1}', page[1].data)
      assert.equal(2, page[2].version)
      assert.matches(
        "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-"
          .. ("%x"):rep(12) .. "$", page[1].id)
      assert.is_true(math.abs(page[1].recorded_at - os.time() * 1000000)
        < 600 * 1000000)
      assert.is_nil(page[1].metadata)
    end)

    it("shows a person what was appended", function()
      assert(store:append {
        {
          id = "1",
          stream = "a",
          type = "Opened",
          data = '{"x":1}',
          recorded_at = 7,
        },
      })
      assert.equal("1|1|a|1|Opened|{\"x\":1}||7",
        shell(path, "SELECT * FROM events;"))
    end)

    it("refuses rows that break its rules", function()
      assert.has_error(function()
        shell(path, INSERT .. "VALUES ('a', 1, 'Opened', 'no json');")
      end)
      shell(path, INSERT .. "VALUES ('a', 1, 'Opened', '1');")
      assert.has_error(function()
        shell(path, INSERT .. "VALUES ('a', 1, 'Opened', '1');")
      end)
    end)

    it("is in WAL mode", function()
      assert.equal("wal", shell(path, "PRAGMA journal_mode;"))
    end)

    it("may be in a file that holds other tables", function()
      store:close()
      path = new_path()
      shell(path, "CREATE TABLE mine (x); INSERT INTO mine VALUES (1);")
      store = assert(open(path))
      assert(store:append { event "a" })
      assert.equal("1|1", shell(path,
        "SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM events);"))
    end)

    it("passes over holes", function()
      assert(store:append(events_of("a", 5)))
      shell(path, "DELETE FROM events WHERE position IN (1, 3);")
      local page = assert(store:read { max = 2 })
      assert.equal("2", page[1].position)
      assert.equal("4", page[2].position)
      page = assert(store:read { after = page.reached, state = page.state })
      assert.equal("5", page[1].position)
    end)

    it("never gives a position twice", function()
      assert(store:append(events_of("a", 3)))
      shell(path, "DELETE FROM events WHERE position = 3;")
      assert.equal("4", assert(store:append { event "b" })[1].position)
    end)

    local wrong = {
      ["type is not text"] = "type = x'ff'",
      ["stream is not text"] = "stream = x'00'",
      ["data is not text"] = "data = CAST('1' AS BLOB)",
      ["version is not an integer"] = "version = 'one'",
      ["recorded_at is not an integer"] = "recorded_at = 'now'",
      ["recorded_at is not in the years"] = "recorded_at = 1 << 62",
      ["id is not text"] = "id = x'00'",
      ["stream is not UTF-8"] = "stream = CAST(x'ff' AS TEXT)",
      ["type has a NUL byte"] = "type = 'a' || char(0)",
      ["id is empty"] = "id = ''",
      ["stream is empty"] = "stream = ''",
      ["type is empty"] = "type = ''",
      ["id is too long"] = "id = printf('%1001s', '')",
      ["data is too long"] = "data = printf('%.*c', 16777217, '1')",
      ["metadata is too long"] = "metadata = printf('%.*c', 16777217, '1')",
    }
    for message, change in pairs(wrong) do
      it("names a row that it cannot read: " .. message, function()
        assert(store:append(events_of("a", 3)))
        shell(path, "PRAGMA ignore_check_constraints = ON; "
          .. "UPDATE events SET " .. change .. " WHERE position = 2;")
        local page, why, code = store:read {}
        assert.is_nil(page)
        assert.equal("invalid", code)
        assert.truthy(why:find("position 2: " .. message, 1, true), why)
      end)
    end

    it("does not mind rows like that if nobody wants them", function()
      assert(store:append(events_of("a", 3)))
      shell(path, "UPDATE events SET type = 'Other', recorded_at = 'now' "
        .. "WHERE position = 2;")
      assert.equal(2, #assert(store:read { types = { "Moved" } }))
      assert.equal(2, store:lag({ types = { "Moved" } }).events)
    end)

    it("of another layout is refused", function()
      local other = new_path()
      shell(other, "CREATE TABLE events (id, payload);")
      local none, message, code = open(other)
      assert.is_nil(none)
      assert.equal("config", code)
      assert.matches("another layout", message)
    end)
  end)

  describe("that was changed behind a checkpoint", function()
    local page

    local function refuses(pattern)
      local again, message, code =
        store:read { after = page.reached, state = page.state }
      assert.is_nil(again)
      assert.equal("config", code)
      assert.matches(pattern, message)
      assert.matches("restore it", message)
      return message
    end

    before_each(function()
      assert(store:append(events_of("a", 10)))
      page = assert(store:read {})
    end)

    it("is refused when it was cut back", function()
      shell(path, "DELETE FROM events WHERE position > 5;")
      assert.matches("lunette rebuild NAME",
        refuses "ends at position 5, before position 10")
    end)

    it("is refused when it was emptied", function()
      shell(path, "DELETE FROM events;")
      refuses "ends at position 0"
    end)

    it("is refused when it was cut back and has grown again", function()
      shell(path, "DELETE FROM events WHERE position > 5;")
      assert(store:append(events_of("b", 20)))
      refuses "no longer has the event at position 10"
    end)

    it("is refused when other events took the place", function()
      shell(path, "DELETE FROM events WHERE position > 5; "
        .. "UPDATE sqlite_sequence SET seq = 5 WHERE name = 'events';")
      assert(store:append(events_of("b", 20)))
      refuses "position 10"
    end)

    it("is refused when another file took its place", function()
      store:close()
      os.remove(path)
      store = assert(open(path))
      refuses "ends at position 0"
      assert(store:append(events_of("a", 10)))
      refuses "position 10"
    end)

    it("is refused when another file takes its place meanwhile", function()
      local other = new_path()
      open(other):close()
      assert(os.rename(other, path))
      refuses "replaced or removed while it was open"
    end)

    it("is read on when only older events were deleted", function()
      shell(path, "DELETE FROM events WHERE position < 10;")
      assert(store:append { event "b" })
      local more =
        assert(store:read { after = page.reached, state = page.state })
      assert.equal(1, #more)
    end)
  end)

  it("looks at a bounded number of events in a read", function()
    assert(store:append(events_of("a", 12000)))
    local page = assert(store:read { types = { "Never" }, max = 10 })
    assert.equal("10000", page.reached)
    assert.is_false(page.at_head)
    page = assert(store:read {
      types = { "Never" },
      max = 10,
      after = page.reached,
      state = page.state,
    })
    assert.equal("12000", page.reached)
    assert.is_true(page.at_head)
    assert.equal("12000",
      assert(store:read { types = { "Never" }, max = 3001 }).reached)
  end)

  describe("far behind", function()
    it("estimates its lag", function()
      shell(path, "WITH RECURSIVE n (i) AS "
        .. "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) "
        .. INSERT .. "SELECT 's', i, iif(i % 2, 'Odd', 'Even'), '1' FROM n;")
      local lag = assert(store:lag {})
      assert.is_false(lag.exact)
      assert.equal(150000, lag.events)
      assert.equal(75000, assert(store:lag { types = { "Odd" } }).events)
      lag = assert(store:lag { after = "60000" })
      assert.is_true(lag.exact)
      assert.equal(90000, lag.events)
      assert.equal(150000, store:count { max = 5000 })
    end)
  end)

  describe("that cannot be opened", function()
    local function refuses(file, code, pattern)
      local none, message, got = open(file)
      assert.is_nil(none)
      assert.equal(code, got)
      assert.matches(pattern, message)
    end

    it("says that its folder is missing", function()
      local folder = helper.tmpdir() .. "/none"
      refuses(folder .. "/events.db", "config",
        "folder .*none: No such file or directory")
    end)

    it("says that the file is no database", function()
      local file = helper.write_file(new_path(), ("not a database "):rep(99))
      refuses(file, "config", "is not a SQLite database")
      assert.equal(("not a database "):rep(99), helper.read_file(file))
    end)

    it("says that the path is no file", function()
      refuses(helper.tmpdir(), "config", "not a regular file")
      refuses("", "config", "write sqlite:PATH")
      refuses(":memory:", "config", "write memory:")
      refuses("file:x.db", "config", "write sqlite:x%.db, or sqlite:%./file:")
      refuses("%66ile:x.db%3Fmode=memory", "config", "a URI of SQLite's own")
      refuses("/" .. ("x/"):rep(3000), "config", "too long")
    end)

    it("says which settings there are for synchronous", function()
      local none, message, code = open(path, { synchronous = "maybe" })
      assert.is_nil(none)
      assert.equal("config", code)
      assert.matches("off, normal or full, not maybe", message)
      open(path, { synchronous = "off" }):close()
      open(path, { synchronous = "full" }):close()
    end)

    it("says that the file is damaged", function()
      assert(store:append(events_of("a", 100)))
      store:close()
      local bytes = helper.read_file(path)
      helper.write_file(path,
        bytes:sub(1, 4096) .. ("\xff"):rep(#bytes - 4096))
      store = open(path)
      if store then
        local page, message, code = store:read {}
        assert.is_nil(page)
        assert.equal("io", code)
        assert.matches("is damaged: restore it", message)
      else
        refuses(path, "io", "is damaged: restore it")
        store = assert(open(new_path()))
      end
    end)
  end)

  describe("that cannot be written", function()
    -- Root may write anything, so another user has to try.
    local function as_nobody(body)
      helper.chmod(path:match "^(.*)/", tonumber("555", 8))
      helper.chmod(path, tonumber("444", 8))
      local code, output = run_lua(path, body, {
        env = { BECOME = "65534" },
      })
      helper.chmod(path:match "^(.*)/", tonumber("755", 8))
      return code, output
    end

    it("is read all the same", function()
      assert(store:append(events_of("a", 3)))
      local code, output = as_nobody [[
        print(#assert(store:read {}), store:head())
        print(select(3, store:append {
          { stream = "a", type = "T", data = "1" } }))
        print(select(2, store:append {
          { stream = "a", type = "T", data = "1" } }))
      ]]
      assert.equal(0, code)
      assert.matches("^3%s3\nio\n.*cannot be written: the file, "
        .. "the %-wal or %-shm file beside it or its folder is read%-only",
        output)
      assert.equal("3", store:head())
    end)

    it("says so when it is not there yet", function()
      store:close()
      os.remove(path)
      local code, output = as_nobody ""
      assert.equal(3, code)
      assert.matches("cannot be opened: check the permissions", output)
      store = assert(open(path))
    end)
  end)

  describe("on a full disk", function()
    it("says so and keeps what it had", function()
      assert(store:append(events_of("a", 10)))
      local code, output = run_lua(path, [[
        local data = '"' .. ("x"):rep(10000) .. '"'
        local results
        local done, message, code = 0
        repeat
          local event = { stream = "big", type = "T", data = data }
          results, message, code = store:append { event, event }
          done = done + (results and 2 or 0)
        until code
        print(code, message)
        print(done)
        print(#assert(store:read {}) - done)
        assert(store:begin())
        local event = { stream = "big", type = "T", data = data }
        for _ = 1, 500 do
          results, message, code = store:append { event }
          if code then break end
        end
        if not code then
          results, message, code = store:commit()
        end
        print(code, store:head() - done)
        print(select(3, store:commit()))
      ]], { fsize_limit = 400000 })
      assert.equal(0, code)
      assert.matches("^io\t.*cannot be written: disk full or file size "
        .. "limit reached; free some space", output)
      assert.matches("\n10\nio\t10\ninvalid\n$", output)
      local done = tonumber(output:match "\n(%d+)\n10\n")
      assert.equal(tostring(done + 10), store:head())
      assert.equal("ok", shell(path, "PRAGMA integrity_check;"))
      assert(store:append { event "a" })
    end)
  end)

  describe("that others write to", function()
    it("waits for another process and says so in the end", function()
      local child = helper.spawn({ "sqlite3", path }, {
        stdin = "BEGIN IMMEDIATE;\n" .. INSERT
          .. "VALUES ('a', 1, 'T', '1');\n"
          .. ".shell touch " .. path .. ".held; "
          .. "while [ -e " .. path .. ".held ]; do sleep 0.02; done\n"
          .. "COMMIT;\n",
      })
      helper.wait(function()
        return io.open(path .. ".held")
      end)
      local hasty = assert(open(path, { busy_timeout_ms = 20 }))
      local done, message, code = hasty:append { event "a" }
      assert.is_nil(done)
      assert.equal("unavailable", code)
      assert.matches("is locked by another process", message)
      hasty:close()
      assert.equal(0, #assert(store:read {}))
      os.remove(path .. ".held")
      assert.equal(2, assert(store:append { event "a" })[1].version)
      assert.equal(0, child:wait())
    end)

    it("loses no event of many processes", function()
      local children = {}
      for i = 1, 4 do
        children[i] = helper.spawn { "lua5.4", "-e", ([[
          package.path = "./?.lua;" .. package.path
          require "spec.helper"
          local open = require "event_store_test".open
          local store = assert(open("sqlite:%s", { busy_timeout_ms = 20000 }))
          for i = 1, 50 do
            assert(store:append {
              { stream = "shared", type = "T", data = "%d" },
              { stream = "own-%d", type = "T", data = tostring(i) },
            })
          end
        ]]):format(path, i, i) }
      end
      for _, child in ipairs(children) do
        assert.equal(0, child:wait(60000), child:stderr())
      end
      assert.equal("200|200|50", shell(path,
        "SELECT max(version), count(*), (SELECT max(version) FROM events "
        .. "WHERE stream = 'own-3') FROM events WHERE stream = 'shared';"))
    end)

    it("is created once by many processes", function()
      local fresh = new_path()
      local children = {}
      for i = 1, 4 do
        children[i] = helper.spawn { "lua5.4", "-e", ([[
          package.path = "./?.lua;" .. package.path
          require "spec.helper"
          local open = require "event_store_test".open
          local store = assert(open("sqlite:%s", { busy_timeout_ms = 20000 }))
          print(store:identity())
        ]]):format(fresh) }
      end
      local seen, count = {}, 0
      for _, child in ipairs(children) do
        assert.equal(0, child:wait(60000), child:stderr())
        local identity = child:stdout()
        count = count + (seen[identity] and 0 or 1)
        seen[identity] = true
      end
      assert.equal(1, count)
    end)

    it("is woken by another process", function()
      store:drain()
      assert.is_true(store:wake_fd() >= 0)
      shell(path, INSERT .. "VALUES ('a', 1, 'T', '1');")
      assert.is_true(store:wait(10000))
    end)
  end)

  describe("between two lives", function()
    it("keeps its identity and its events", function()
      local identity = store:identity()
      assert(store:append(events_of("a", 3)))
      local page = assert(store:read { max = 2 })
      store:close()
      store = assert(open(path))
      assert.equal(identity, store:identity())
      assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+$", identity)
      local rest =
        assert(store:read { after = page.reached, state = page.state })
      assert.equal("3", rest[1].data)
    end)
  end)
end)

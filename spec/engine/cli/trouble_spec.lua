-- The command with a disk that is full, files that cannot be written, and an
-- event store that is not the one it was.

local helper = require "spec.helper"
local ledger = require "spec.engine.ledger"
local lunette = require "lunette"
local workplace = require "spec.engine.cli.workplace"

local seed = helper.seed(5)

describe("the command, seed " .. seed, function()
  local place, events, r, child

  before_each(function()
    r = helper.random(seed)
    events = {}
    place = workplace.new()
    place.env.LUNETTE_EVENTS = "sqlite:events.db"
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place:write("projections/ledger.lua", ledger.scripts.ledger)
  end)

  after_each(function()
    if child then
      child:kill "KILL"
      child:wait()
      child = nil
    end
  end)

  local function open()
    return assert(lunette.open {
      events = "sqlite:" .. place:path "events.db",
      models = "sqlite:" .. place:path "models.db",
    })
  end

  local function append(count)
    local engine <close> = open()
    local list = ledger.events(r, #events + 1, count)
    for _, event in ipairs(list) do
      event.id = nil -- a new one, even if it takes the place of another
    end
    assert(engine:append(list))
    table.move(list, 1, count, #events + 1, events)
  end

  -- The models fit the checkpoint; how far that is.
  local function check()
    assert.equal("ok", place:sql("models.db", "PRAGMA integrity_check"))
    local engine <close> = open()
    return ledger.check(engine, "ledger", ledger.fold "ledger", events)
  end

  local function run_once(options)
    return place:run({ "run", "--once", "--batch-events", "100" }, options)
  end

  -- One line, of what was being done and why it failed.
  local function assert_refused(words, options)
    local code, _, err = run_once(options)
    assert.equal(1, code)
    assert.matches(words, err:match "(lunette run: [^\n]*)\n$", 1, true)
  end

  local function wait_for(words)
    helper.wait(function()
      return child:stderr():find(words, 1, true)
    end)
  end

  describe("with few file descriptors", function()
    local function limited(limit, ...)
      return helper.run({ "sh", "-c", "ulimit " .. limit .. '; exec "$@"',
        "sh", helper.lunette, ... }, { cwd = place.folder, env = place.env })
    end

    it("says that the limit is to be raised", function()
      append(1)
      local code, _, err = limited("-n 8", "run", "--once")
      assert.equal(1, code)
      assert.matches("models.db cannot be opened: too many open files: raise "
        .. "the limit (ulimit -n)", err, 1, true)
      _, _, err = limited("-n 40", "run", "--once")
      assert.matches("1 projections may need %d+ file descriptors, and the "
        .. "limit is 40: raise it %(ulimit %-n%)", err)
    end)

    it("raises the soft limit by itself", function()
      append(1)
      local code, _, err = limited("-S -n 8", "run", "--once")
      assert.equal("", err:match "descriptors" or "")
      assert.equal(0, code)
    end)
  end)

  describe("on a full disk", function()
    it("says so, damages nothing, and goes on with the next run", function()
      append(5000)
      assert_refused("models.db cannot be written: disk full or file size "
        .. "limit reached; free some space", { fsize_limit = 200000 })
      local position = check()
      assert.is_true(position > 0 and position < #events)
      assert.equal(0, (run_once()))
      assert.equal(#events, check())
    end)

    it("stops what it hits, and goes on after a resume", function()
      append(5000)
      child = helper.spawn({ "/bin/sh", "-c",
        'ulimit -S -f 400; exec "$@"', "sh", helper.lunette,
        "run", "--batch-events", "100" }, {
        cwd = place.folder,
        env = place.env,
      })
      wait_for "ledger: failed: models.db cannot be written: disk full"
      local position = check()
      assert.is_true(position > 0 and position < #events)
      assert.equal(0, (helper.run { "prlimit", "--pid",
        tostring(child:pid()), "--fsize=unlimited" }))
      place:done { "resume", "ledger" }
      wait_for "ledger: live"
      assert.equal(#events, check())
      local _, failures = child:stderr():gsub("disk full", "")
      assert.equal(1, failures)
    end)
  end)

  it("says that the models cannot be written, and leaves them", function()
    append(500)
    assert.equal(0, (run_once()))
    append(500)
    local before = place:read "models.db"
    -- Root may write anything, so another user has to try.
    local argv = { helper.lunette, "run", "--once" }
    local _, user = helper.run { "id", "-u" }
    if user == "0\n" then
      argv[1] = place:write("lunette", helper.read_file(helper.lunette))
      helper.chmod(argv[1], tonumber("755", 8))
      argv = { "setpriv", "--reuid=65534", "--clear-groups",
        table.unpack(argv) }
    end
    helper.chmod(place:path "models.db", tonumber("444", 8))
    helper.chmod(place.folder, tonumber("555", 8))
    local code, _, err = helper.run(argv, {
      cwd = place.folder,
      env = place.env,
    })
    helper.chmod(place.folder, tonumber("755", 8))
    assert.equal(1, code, err)
    assert.matches("^lunette run: [^\n]*cannot be written[^\n]*\n$", err)
    assert.equal(before, place:read "models.db")
  end)

  describe("with another event store than the models came from", function()
    before_each(function()
      append(300)
      assert.equal(0, (run_once()))
    end)

    local function cut_back()
      place:sql("events.db", "DELETE FROM events WHERE position > 200;"
        .. "UPDATE sqlite_sequence SET seq = 200")
    end

    it("refuses one that was cut back, until it is restored", function()
      local copy = place:read "events.db"
      cut_back()
      assert_refused("ends at position 200, before position 300 that was read "
        .. "last: the event store was replaced or cut back; restore it, or "
        .. "start the projection anew with lunette rebuild NAME")
      assert.equal(#events, check())
      place:write("events.db", copy)
      append(20)
      assert.equal(0, (run_once()))
      assert.equal(#events, check())
    end)

    it("refuses one that was cut back and has grown again", function()
      cut_back()
      local others = events
      events = { table.unpack(events, 1, 200) }
      append(200)
      assert_refused "has another event at position 300"
      events, others = others, events
      assert.equal(#events, check())
      events = others
      place:done { "rebuild", "ledger" }
      assert.equal(400, check())
    end)

    it("refuses another one, until it is told to rebuild", function()
      for _, ending in ipairs { "", "-wal", "-shm" } do
        os.remove(place:path("events.db" .. ending))
      end
      local old = events
      events = {}
      append(400)
      assert_refused "its models were built from event store"
      local others = events
      events = old
      assert.equal(300, check())
      events = others
      child = place:spawn { "run" }
      wait_for 'or run "lunette rebuild ledger" to build them from this one'
      place:done { "rebuild", "ledger" }
      assert.equal(400, check())
    end)

    it("notices one that is replaced while it runs", function()
      child = place:start "ledger"
      helper.write_file(place:path "other.db", place:read "events.db")
      os.rename(place:path "other.db", place:path "events.db")
      wait_for "ledger: failed: events.db was replaced or removed while"
      assert.equal(300, check())
    end)
  end)
end)

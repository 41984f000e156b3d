-- What a registered projection costs before it runs, and who looks on.

local kit = require "spec.engine.engine_kit"
local support = require "spec_support"

-- How often this process has files open, by their names without the folder.
local function open_files(folder)
  local counts = { ["events.db"] = 0, ["models.db"] = 0 }
  local list = io.popen(("ls -l /proc/%d/fd"):format(support.getpid()))
  for line in list:lines() do
    local name = line:match("-> " .. folder:gsub("%p", "%%%0") .. "/(.+)$")
    if counts[name] then
      counts[name] = counts[name] + 1
    end
  end
  list:close()
  return counts
end

describe("a registered projection", function()
  after_each(kit.close_all)

  local stores, folder

  before_each(function()
    stores = kit.stores "sqlite"
    folder = stores.models:match "^sqlite:(.*)/models.db$"
  end)

  -- One that has run already, in an engine that has opened nothing for it yet.
  local function reopen()
    local engine = kit.open(stores)
    kit.register(engine, kit.ledger())
    kit.append(engine, { { n = 1, ids = "a" } })
    assert(engine:run_once())
    return kit.reopen(engine, stores)
  end

  it("has no connections", function()
    local engine = reopen()
    assert.equal("1,", engine:get("ledger", "a").log)
    assert.equal("stopped", kit.status(engine, "ledger").state)
    local before = open_files(folder)
    assert.is_true(before["models.db"] > 0)
    kit.register(engine, kit.ledger())
    assert.equal("1,", engine:get("ledger", "a").log)
    assert.equal("stopped", kit.status(engine, "ledger").state)
    assert.same(before, open_files(folder))
  end)

  it("is paused over a connection that there is", function()
    local engine = reopen()
    kit.register(engine, kit.ledger())
    local before = open_files(folder)
    assert(engine:pause "ledger")
    assert(engine:resume "ledger")
    assert.same(before, open_files(folder))
  end)

  it("gets one to the events when it runs", function()
    local engine = reopen()
    kit.register(engine, kit.ledger())
    local before = open_files(folder)
    assert.is_false(engine:step "ledger")
    local after = open_files(folder)
    assert.equal(before["events.db"] + 1, after["events.db"])
    assert.equal(before["models.db"], after["models.db"])
    assert.is_false(engine:step "ledger")
    assert.same(after, open_files(folder))
  end)

  it("gets its position from the events to be set back, without running",
    function()
      local engine = reopen()
      kit.register(engine, kit.ledger())
      local before = open_files(folder)
      assert(engine:set_checkpoint("ledger", "0"))
      local after = open_files(folder)
      assert.equal(before["events.db"] + 1, after["events.db"])
      assert.equal(before["models.db"], after["models.db"])
      assert.equal(1, engine:step "ledger")
      assert.equal("1,1,", engine:get("ledger", "a").log)
    end)

  it("that has never run is made to exist by a pause", function()
    local engine = kit.open(stores)
    kit.register(engine, kit.ledger())
    assert(engine:pause "ledger")
    assert.equal("paused", kit.status(engine, "ledger").state)
  end)
end)

describe("the script of one projection", function()
  local workplace = require "spec.engine.cli.workplace"

  it("is read at most once by a command", function()
    local place = workplace.new()
    place:counter()
    place:count("a", 3)
    place:done { "run", "--once" }
    local path = place:path "projections/counter.lua"
    for _, words in ipairs {
      { "get", "counter", "a" },
      { "query", "counter" },
      { "pause", "counter" },
      { "resume", "counter" },
      { "parked", "retry", "counter" },
    } do
      local opens = support.watch_opens(path)
      place:done(words)
      assert.is_true(support.count_opens(opens) <= 1, words[1])
    end
  end)
end)

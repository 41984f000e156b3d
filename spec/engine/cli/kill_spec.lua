-- The command killed at any instant. What the files then hold is compared with
-- a fold of the events computed apart, after every kill.
--
-- LUNETTE_SEED repeats a run.

local helper = require "spec.helper"
local ledger = require "spec.engine.ledger"
local lunette = require "lunette"

local seed = helper.seed()

describe("a process killed at any instant #kill, seed " .. seed, function()
  local r, folder, models, events, folds, appender, child, asking, settings

  lazy_setup(function()
    print("\nLUNETTE_SEED=" .. seed)
  end)

  before_each(function()
    r = helper.random(seed)
    folder = helper.tmpdir()
    models = "sqlite:" .. folder .. "/models.db"
    events = {}
    folds = {}
    settings = {}
    helper.mkdir(folder .. "/scripts")
    for _, name in ipairs { "ledger", "parking" } do
      folds[name] = ledger.fold(name)
      helper.write_file(folder .. "/scripts/" .. name .. ".lua",
        ledger.scripts[name])
    end
    appender = assert(lunette.open {
      events = "sqlite:" .. folder .. "/events.db",
      models = "memory:",
    })
  end)

  -- Nobody asks for anything any more.
  local function stop_asking()
    if asking then
      asking:kill "KILL"
      asking:wait()
      asking = nil
    end
  end

  after_each(function()
    appender:close()
    stop_asking()
    if child then
      child:kill "KILL"
      child:wait()
      child = nil
    end
  end)

  local function append(count)
    local list = ledger.events(r, #events + 1, count)
    assert(appender:append(list))
    table.move(list, 1, count, #events + 1, events)
  end

  local function command(words)
    local argv = { helper.lunette, words[1], "-e",
      "sqlite:" .. folder .. "/events.db", "-m", models, "-p",
      folder .. "/scripts", table.unpack(words, 2) }
    for _, word in ipairs(settings) do
      argv[#argv + 1] = word
    end
    return argv
  end

  local function start(words)
    child = helper.spawn(command(words))
  end

  local function kill()
    child:kill "KILL"
    local status = child:wait()
    assert.is_true(status == 137 or status == 0, child:stderr())
    child = nil
    stop_asking() -- or it rebuilds what is being checked by itself
  end

  -- Append for some milliseconds, in small transactions.
  local function append_for(ms)
    local limit = helper.now_ms() + ms
    while helper.now_ms() < limit do
      append(r:within(1, 20))
      helper.sleep_ms(r:within(0, 3))
    end
  end

  -- What the files hold must fit. How far the ledger got, and in how many
  -- commits and changes.
  local function check()
    local reader <close> = assert(lunette.open {
      events = "sqlite:" .. folder .. "/events.db",
      models = models,
    })
    local positions = {}
    for name, fold in pairs(folds) do
      positions[name] = ledger.check(reader, name, fold, events)
    end
    local checkpoint = reader:checkpoint "ledger"
    return positions, checkpoint and checkpoint.revision or 0
  end

  local function finish()
    local code, _, err = helper.run(command { "run", "--once" })
    assert.equal(0, code, err)
    assert.same({ ledger = #events, parking = #events }, (check()))
  end

  -- Kill again and again, until so many kills came in the middle of the work
  -- or the time is up. begin() starts the work, wait(most) lasts up to so many
  -- milliseconds; how many that are is learnt on the way.
  local function kill_in_the_middle(times, most, begin, wait)
    local limit = helper.now_ms() + 8000
    local _, last = check()
    local middle = 0
    while middle < times and (middle == 0 or helper.now_ms() < limit) do
      begin()
      wait(most)
      kill()
      local positions, revision = check()
      if revision == last then
        most = math.min(most * 3 // 2, 3000)
      elseif positions.ledger == #events then
        most = math.max(most * 2 // 3, 15)
      else
        middle = middle + 1
      end
      last = revision
    end
  end

  -- While it catches up, and while it is live.
  local function kill_runs(times)
    kill_in_the_middle(times, 60, function()
      settings = { "--batch-events", tostring(r:pick { 1, 7, 50, 1000 }),
        "--live-events", tostring(r:pick { 3, 1000 }),
        "--memory-bytes", r:pick { "4096", "8192", "2000000" } }
      append(r:chance(70) and r:within(500, 1500) or 1)
      start { "run" }
    end, function(most)
      append_for(r:within(1, most))
    end)
    finish()
  end

  it("goes on without loss or doubling", function()
    kill_runs(40)
  end)

  it("does so with one file for events and models", function()
    models = "sqlite:" .. folder .. "/events.db"
    kill_runs(30)
  end)

  local function kill_rebuilds(times, most, begin)
    append(3000)
    finish()
    kill_in_the_middle(times, most, function()
      settings = { "--batch-events", tostring(r:pick { 20, 200 }) }
      folds.ledger = ledger.fold "ledger"
      begin()
    end, function(longest)
      helper.sleep_ms(r:within(longest // 10, longest))
    end)
    finish()
  end

  it("has rebuilt all or nothing, and goes on rebuilding", function()
    kill_rebuilds(15, 60, function()
      start { "rebuild", "ledger" }
    end)
  end)

  it("does so when it was asked while it ran", function()
    kill_rebuilds(15, 200, function()
      start { "run" }
      asking = helper.spawn(command { "rebuild", "--no-wait", "ledger" })
    end)
  end)

  it("has imported a file whole or not at all", function()
    local count, landed = 4000, 0
    for _ = 1, 20 do
      local lines = {}
      local list = ledger.events(r, #events + 1, count)
      for i, event in ipairs(list) do
        lines[i] = lunette.encode(event)
      end
      local path = helper.write_file(folder .. "/import.jsonl",
        table.concat(lines, "\n") .. "\n")
      child = helper.spawn { helper.lunette, "import", "-e",
        "sqlite:" .. folder .. "/events.db", path }
      helper.sleep_ms(r:within(1, 60))
      child:kill "KILL"
      local status = child:wait()
      child = nil
      local stored = #assert(appender:events {
        after = tostring(#events),
        limit = count + 1,
      })
      if status == 0 then
        assert.equal(count, stored)
      end
      if stored > 0 then
        assert.equal(count, stored)
        table.move(list, 1, count, #events + 1, events)
        landed = landed + 1
      end
    end
    assert.is_true(landed < 20)
    finish()
  end)
end)

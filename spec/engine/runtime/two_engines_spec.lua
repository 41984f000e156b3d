-- Two engines on one models file: one of them runs a projection, the other
-- stands by, and nothing is applied twice.

local helper = require "spec.helper"
local ledger = require "spec.engine.ledger"
local lunette = require "lunette"

local seed = helper.seed(1)

describe("two engines on one models file, seed " .. seed, function()
  local folder, r, events, engines, children

  before_each(function()
    r = helper.random(seed)
    folder = helper.tmpdir()
    events, engines, children = {}, {}, {}
    for name, source in pairs(ledger.scripts) do
      helper.write_file(folder .. "/" .. name .. ".lua", source)
    end
  end)

  after_each(function()
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
    end
    for _, engine in ipairs(engines) do
      engine:close()
    end
  end)

  local function open(...)
    local engine = assert(lunette.open {
      events = "sqlite:" .. folder .. "/events.db",
      models = "sqlite:" .. folder .. "/models.db",
      batch_events = 50,
    })
    for _, name in ipairs { ... } do
      assert(engine:register(folder .. "/" .. name .. ".lua"))
    end
    engines[#engines + 1] = engine
    return engine
  end

  local function append(engine, count)
    local list = ledger.events(r, #events + 1, count)
    assert(engine:append(list))
    table.move(list, 1, count, #events + 1, events)
  end

  local function run(...)
    local argv = { helper.lunette, "run",
      "-e", "sqlite:" .. folder .. "/events.db",
      "-m", "sqlite:" .. folder .. "/models.db" }
    for _, name in ipairs { ... } do
      table.insert(argv, "-p")
      table.insert(argv, folder .. "/" .. name .. ".lua")
    end
    local child = helper.spawn(argv)
    children[#children + 1] = child
    return child
  end

  local function wait_for(child, words)
    helper.wait(function()
      return child:stderr():find(words, 1, true)
    end)
  end

  local function status(engine, name)
    for _, projection in ipairs(assert(engine:status())) do
      if projection.name == name then
        return projection
      end
    end
  end

  local function sql(statement)
    local code, out, err = helper.run({ "sqlite3", folder .. "/models.db" },
      { stdin = ".timeout 5000\n" .. statement })
    assert(code == 0, err)
    return out
  end

  -- Everything is applied, and once.
  local function assert_exact(engine, name)
    assert(engine:wait { projection = name, timeout = 20 })
    assert.equal(#events,
      ledger.check(engine, name, ledger.fold(name), events))
  end

  -- Step until there is nothing to do; what the failure was, if any.
  local function step_all(engine, name)
    local result
    repeat
      result = table.pack(engine:step(name))
    until not result[1]
    return table.unpack(result, 2)
  end

  describe("in two processes", function()
    it("tells the second who it is, which runs its other projections",
      function()
        local first = run "ledger"
        wait_for(first, "ledger: live")
        local second = run("ledger", "parking")
        wait_for(second, "parking: live")
        wait_for(second, "ledger: standby")
        assert.matches('ledger: standby: projection "ledger" is run by process '
          .. first:pid() .. " on ", second:stderr(), 1, true)

        local engine = open()
        append(engine, 200)
        assert_exact(engine, "ledger")
        assert_exact(engine, "parking")
        local owner = helper.wait(function() -- until the first says so
          local owner = status(engine, "ledger").owner
          return owner ~= lunette.null and owner
        end)
        assert.matches("process " .. first:pid() .. " on ", owner, 1, true)
      end)

    it("frees the projection when the owner is killed", function()
      local engine = open "ledger"
      local first = run "ledger"
      wait_for(first, "ledger: live")
      append(engine, 300)
      assert.equal("owned", (select(2, step_all(engine, "ledger"))))
      first:kill "KILL"
      first:wait()
      assert.is_nil(step_all(engine, "ledger"))
      assert_exact(engine, "ledger")
    end)

    it("lets the second go on where the first was killed", function()
      local engine = open()
      local first = run "ledger"
      wait_for(first, "ledger: live")
      local second = run "ledger"
      wait_for(second, "ledger: standby")
      append(engine, 3000)
      first:kill "KILL"
      append(engine, 300)
      assert_exact(engine, "ledger")
      wait_for(second, "ledger: live")
    end)

    it("says nothing of the old owner once the second has taken over",
      function()
        local first = run "ledger"
        wait_for(first, "ledger: live")
        local second = run "ledger"
        wait_for(second, "ledger: standby")
        first:kill "KILL"
        wait_for(second, "ledger: live")
        local engine, known = open(), nil
        helper.wait(function()
          known = status(engine, "ledger")
          return known.state == "live" and known.owner ~= lunette.null
            and known.owner:find("process " .. second:pid() .. " ", 1, true)
        end)
        assert.equal(lunette.null, known.last_error)
      end)

    it("leaves the projection with an owner that is only stopped", function()
      local engine = open "ledger"
      local first = run "ledger"
      wait_for(first, "ledger: live")
      append(engine, 3000)
      first:kill "STOP"
      local message, code = step_all(engine, "ledger")
      assert.equal("owned", code)
      assert.matches("process " .. first:pid(), message, 1, true)
      first:kill "CONT"
      assert_exact(engine, "ledger")
    end)
  end)

  describe("in one process", function()
    it("lets the second step when the first is closed", function()
      local first, second = open "ledger", open "ledger"
      append(first, 200)
      assert.equal(50, first:step "ledger")
      local message, code = step_all(second, "ledger")
      assert.equal("owned", code)
      assert.matches("is run by process %d+ on ", message)
      first:close()
      assert.is_nil(step_all(second, "ledger"))
      assert_exact(second, "ledger")
    end)

    it("hands over again and again without doubling #threads", function()
      local writer = open()
      append(writer, 1)
      local current = open "ledger"
      assert(current:start())
      for _ = 1, 8 do
        local following = open "ledger"
        assert(following:start())
        append(writer, 250)
        current:close()
        append(writer, 50)
        current = following
        assert_exact(current, "ledger")
      end
    end)
  end)

  describe("when something changes behind the owner's back", function()
    local engine, position

    local function check()
      return ledger.check(engine, "ledger", ledger.fold "ledger", events)
    end

    before_each(function()
      engine = open "ledger"
      append(engine, 120)
      assert.equal(50, engine:step "ledger")
      position = check()
    end)

    it("stops at another revision and says why", function()
      sql "UPDATE lunette_checkpoints SET revision = revision + 1"
      local message, code = step_all(engine, "ledger")
      assert.equal("conflict", code)
      assert.matches("somebody else changed it", message)
      assert.equal("failed", status(engine, "ledger").state)
      assert.matches("somebody else changed it",
        status(engine, "ledger").last_error)
      assert.equal(position, check())
      assert(engine:resume "ledger")
      assert_exact(engine, "ledger")
    end)

    it("stops at one while batches overlap #threads", function()
      append(engine, 4000)
      sql [[
        CREATE TRIGGER meddler AFTER UPDATE OF position ON lunette_checkpoints
        WHEN new.revision = 20 BEGIN
          UPDATE lunette_checkpoints SET revision = 21;
        END]]
      assert(engine:start())
      helper.wait(function()
        return status(engine, "ledger").state == "failed"
      end)
      assert.matches("expected revision 20, stored 21",
        status(engine, "ledger").last_error)
      position = check()
      assert.is_true(position < #events)
      assert(engine:resume "ledger")
      assert_exact(engine, "ledger")
    end)

    it("stops at one when the script fails meanwhile #threads", function()
      append(engine, 80)
      assert(engine:register { source = [[
        return {
          name = "careful",
          version = 1,
          extract_model_id = function(event)
            return assert(event.data.serial < 120 and "all")
          end,
          apply_to_model = function(model, event)
            return { last = event.data.serial }
          end,
        }]] })
      sql [[
        CREATE TRIGGER meddler AFTER UPDATE OF position ON lunette_checkpoints
        WHEN new.projection = 'careful' AND new.revision = 2 BEGIN
          UPDATE lunette_checkpoints SET revision = 3
          WHERE projection = 'careful';
        END]]
      assert(engine:start())
      helper.wait(function()
        return status(engine, "careful").state == "failed"
      end)
      assert.matches("expected revision 2, stored 3",
        status(engine, "careful").last_error)
      assert.equal("50", engine:checkpoint("careful").position)
      assert.equal(50, engine:get("careful", "all").last)
    end)

    it("takes a projection up again whose fence was only raised", function()
      sql "UPDATE lunette_owners SET fence = fence + 1"
      local _, message, code = engine:step "ledger"
      assert.equal("owned", code)
      assert.matches("its ownership has passed on", message)
      assert.equal(position, check())
      assert_exact(engine, "ledger")
    end)

    it("stands by once another engine holds a new lock", function()
      assert(os.remove(folder .. "/models.db.ledger.b1.s0.lock"))
      local other = open "ledger"
      assert.equal(50, other:step "ledger")
      for _ = 1, 3 do
        local message, code = step_all(engine, "ledger")
        assert.equal("owned", code, message)
      end
      assert.is_nil(step_all(other, "ledger"))
      assert_exact(other, "ledger")
      other:close()
      append(engine, 10)
      assert_exact(engine, "ledger")
    end)
  end)
end)

-- What an engine holds of a log with large events, large models, and many.

local helper = require "spec.helper"
local lunette = require "lunette"

describe("the memory of a running engine", function()
  local folder, events, models, child

  before_each(function()
    folder = helper.tmpdir()
    events = "sqlite:" .. folder .. "/events.db"
    models = "sqlite:" .. folder .. "/models.db"
    helper.write_file(folder .. "/keep.lua", [[
      return { name = "keep", version = 1,
        fields = { text = "text", count = "integer" },
        extract_model_id = function(event) return event.data.id end,
        apply_to_model = function(model, event)
          return { text = event.data.text,
            count = (model and model.count or 0) + 1 }
        end }]])
  end)

  after_each(function()
    if child then
      child:kill "TERM"
      child:wait()
      child = nil
    end
  end)

  local function append(count, each, text, ids)
    local engine = assert(lunette.open {
      events = events, models = "memory:", synchronous = "off" })
    for at = 1, count, each do
      local list = {}
      for i = at, at + each - 1 do
        list[#list + 1] = { stream = "s", type = "T",
          data = { id = ids .. i % (count // 2), text = text } }
      end
      assert(engine:append(list))
    end
    engine:close()
  end

  -- In KiB, at most until now. What the system says once a process has ended
  -- is also of what it was before it became the command.
  local function peak()
    local status = helper.read_file("/proc/" .. child:pid() .. "/status")
    return tonumber(status:match "VmHWM:%s*(%d+)")
  end

  it("stays near memory_bytes, whatever is in the log", function()
    if os.getenv "LUNETTE_SANITIZE" then
      pending "a sanitizer's memory is its own"
      return
    end
    append(160, 8, ("0123456789abcdef"):rep(1 << 14), "large-")
    append(10000, 1000, "x", "small-")
    child = helper.spawn { helper.lunette, "run", "-e", events, "-m", models,
      "-p", folder .. "/keep.lua", "--memory-bytes", tostring(8 << 20),
      "--script-memory-bytes", tostring(16 << 20), "--log-level", "error" }
    local engine = assert(lunette.open { events = events, models = models })
    helper.wait(function()
      local checkpoint = engine:checkpoint "keep"
      return checkpoint and checkpoint.position == "10160"
    end, 120)
    engine:close()
    assert.is_true(peak() < 40 << 10, peak() .. " KiB")
  end)
end)

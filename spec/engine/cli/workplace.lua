-- A folder of its own in which to run the command, with stores named in the
-- environment and an empty folder of scripts.

local helper = require "spec.helper"

local workplace = {}
workplace.__index = workplace

-- For a command that goes on as an interpreter: with a sanitizer, that needs
-- its runtime from the start.
workplace.as_interpreter = { env = {
  LD_PRELOAD = helper.preload or false,
  ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0",
} }

local counter = [[
return {
  name = "counter",
  version = 1,
  handles = { "Counted" },
  fields = { total = "integer", note = "text" },
  extract_model_id = function(event)
    return event.data.id
  end,
  apply_to_model = function(model, event)
    model = model or { total = 0 }
    model.total = model.total + event.data.n
    model.note = event.data.note
    return model
  end,
}
]]

function workplace.new()
  local self = setmetatable({ folder = helper.tmpdir() }, workplace)
  helper.mkdir(self.folder .. "/projections")
  self.env = {
    LUNETTE_EVENTS = "sqlite:bank.db",
    LUNETTE_MODELS = "sqlite:bank.db",
    LC_ALL = "C.UTF-8",
  }
  return self
end

function workplace:path(name)
  return self.folder .. "/" .. name
end

function workplace:write(name, text)
  return helper.write_file(self:path(name), text)
end

function workplace:read(name)
  return helper.read_file(self:path(name))
end

-- The script every spec may use, with the text changed where it must differ.
function workplace:counter(old, new)
  local text = counter
  if old then
    local from, to = text:find(old, 1, true)
    text = text:sub(1, from - 1) .. new .. text:sub(to + 1)
  end
  self:write("projections/counter.lua", text)
end

local function options_of(self, options)
  local all = { cwd = self.folder, env = {} }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  all.env = {}
  for key, value in pairs(self.env) do
    all.env[key] = value
  end
  for key, value in pairs(options and options.env or {}) do
    all.env[key] = value
  end
  return all
end

-- words: the command line after "lunette". Exit code, output, errors; that it
-- made a store, as the first command of a place does, only if they are `whole`.
function workplace:run(words, options)
  local code, out, err = helper.run({ helper.lunette, table.unpack(words) },
    options_of(self, options))
  if not (options and options.whole) then
    err = err:gsub("[^\n]*made the %a+ store [^\n]*\n", "")
  end
  return code, out, err
end

function workplace:spawn(words, options)
  return helper.spawn({ helper.lunette, table.unpack(words) },
    options_of(self, options))
end

-- Run what must succeed; its output.
function workplace:done(words, options)
  local code, out, err = self:run(words, options)
  if code ~= 0 then
    error(table.concat(words, " ") .. " ended with " .. code .. ": " .. err, 2)
  end
  return out
end

function workplace:count(id, n, note)
  local data = ('{"id":"%s","n":%d,"note":%s}'):format(id, n,
    note and '"' .. note .. '"' or "null")
  return self:done { "append", "--stream", id, "--type", "Counted",
    "--data", data }
end

-- Start `lunette run` and wait until this projection is live.
function workplace:start(projection, words)
  local engine = self:spawn { "run", table.unpack(words or {}) }
  helper.wait(function()
    return engine:stderr():find(projection .. ": live", 1, true)
  end)
  return engine
end

function workplace:sql(file, statement)
  local code, out, err = helper.run({ "sqlite3", "-cmd", ".timeout 10000",
    self:path(file), statement })
  assert(code == 0, err)
  return (out:gsub("\n$", ""))
end

return workplace

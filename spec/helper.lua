-- What every spec shares: where things are, a folder to work in, waiting,
-- and running programs. Used as `local helper = require "spec.helper"`.
--
-- LUNETTE_BUILD names the folder that was built into (default "build").

local build = os.getenv "LUNETTE_BUILD" or "build"

package.cpath = build .. "/spec/?.so;" .. package.cpath
local support = require "spec_support"

local root = support.getcwd()
if build:sub(1, 1) ~= "/" then
  build = root .. "/" .. build
end
package.path = root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;"
  .. root .. "/?.lua;" .. package.path
package.cpath = build .. "/spec/?.so;" .. build .. "/spec/lua/?.so;"
  .. package.cpath

local helper = {
  root = root,
  build = build,
  lunette = build .. "/lunette",
  faulty_lunette = build .. "/spec/lunette", -- knows the stores that fail
  sleep_ms = support.sleep_ms, -- for intervals that are the thing under test
  now_ms = support.now_ms,
  mkdir = support.mkdir,
  chmod = support.chmod,
  setenv = support.setenv,
  signals = { INT = 2, KILL = 9, TERM = 15, CONT = 18, STOP = 19 },
}

-- A fresh folder, removed with everything in it when the run ends.
local folders = setmetatable({}, {
  __gc = function(list)
    for _, folder in ipairs(list) do
      support.remove_tree(folder)
    end
  end,
})

function helper.tmpdir()
  local parent = os.getenv "TMPDIR" or "/tmp"
  local folder = assert(support.mkdtemp(parent .. "/lunette-spec-"))
  folders[#folders + 1] = folder
  return folder
end

-- The first true value of condition(), asked for again and again; an error
-- when `seconds` (20) have passed without one.
function helper.wait(condition, seconds)
  seconds = seconds or 20
  local limit = support.now_ms() + seconds * 1000
  while true do
    local value = condition()
    if value then
      return value
    end
    if support.now_ms() > limit then
      error("waited " .. seconds .. " seconds in vain", 2)
    end
    support.sleep_ms(5)
  end
end

-- ---- chance

local function seed_of(variable)
  local given = os.getenv(variable)
  return given and (math.tointeger(tonumber(given))
    or error(variable .. " is no integer: " .. given, 3))
end

-- What a spec with random numbers begins with: LUNETTE_SEED where it is set,
-- else the usual seed of the spec, else LUNETTE_FRESH_SEED, else another in
-- every run. The name of the spec says it, so that a failure can be repeated.
function helper.seed(usual)
  return seed_of "LUNETTE_SEED" or usual or seed_of "LUNETTE_FRESH_SEED"
    or os.time() % 1000000
end

local random = {}
random.__index = random

-- Random numbers that are the same on every machine.
function helper.random(seed)
  local r = setmetatable({ state = seed * 2 + 1 }, random)
  for _ = 1, 8 do -- seeds next to each other begin alike
    r:within(0, 1)
  end
  return r
end

-- An integer from low to high.
function random:within(low, high)
  self.state = self.state * 6364136223846793005 + 1442695040888963407
  return low + (self.state >> 33) % (high - low + 1)
end

function random:chance(percent)
  return self:within(1, 100) <= percent
end

function random:pick(list)
  return list[self:within(1, #list)]
end

-- ---- files

function helper.read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

function helper.write_file(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

-- ---- programs

-- A sanitizer's runtime has done its work here. ThreadSanitizer's would end
-- every shell.
local preload = os.getenv "LD_PRELOAD"
support.setenv("LD_PRELOAD", nil)
helper.preload = preload -- for a command that goes on as an interpreter

-- Settings are what a spec gives to the command, and what the run of specs has
-- in its own environment is none of them.
local function runs_command(argv)
  for i, word in ipairs(argv) do
    if i == 1 and word:find "lua[%d.]*$" then
      return false
    end
    if word:find "/lunette$" or word:find(helper.lunette, 1, true) then
      return true
    end
  end
end

-- The command carries its sanitizer itself and looks for leaks where that
-- works; an interpreter that will load the module needs the runtime, and has
-- leaks of its own.
local function environment(argv, changes)
  local names = {}
  if argv[1]:find "lua[%d.]*$" then
    names.LD_PRELOAD = preload
  end
  local asan = os.getenv "ASAN_OPTIONS"
  if asan and argv[1] ~= helper.lunette then
    names.ASAN_OPTIONS = asan .. ":detect_leaks=0"
  end
  for name, value in pairs(changes or {}) do
    names[name] = value
  end
  local command = runs_command(argv)
  local list = {}
  for name, value in pairs(names) do
    if value then
      list[#list + 1] = name .. "=" .. value
    end
  end
  for _, entry in ipairs(support.environ()) do
    local name = entry:match "^[^=]*"
    if names[name] == nil and not (command and name:find "^LUNETTE_") then
      list[#list + 1] = entry
    end
  end
  return list
end

-- Why a spec that needs a program has to be pending; nil where it is there.
function helper.missing(program)
  if helper.run("command -v " .. program) ~= 0 then
    return "needs " .. program .. ", which is not installed"
  end
end

local process = {}
process.__index = process

function process:pid()
  return self.handle:pid()
end

-- signal: a number, or "TERM", "KILL" ...
function process:kill(signal)
  self.handle:kill(helper.signals[signal] or signal)
end

-- The exit code (128 + n for signal n, which is then the second result); nil
-- if it still runs after timeout_ms (20,000).
function process:wait(timeout_ms)
  return self.handle:wait(timeout_ms or 20000)
end

-- The most memory it held, once it has ended.
function process:peak_kib()
  return self.handle:peak_kib()
end

-- What it has written so far.
function process:stdout()
  return helper.read_file(self.stdout_path)
end

function process:stderr()
  return helper.read_file(self.stderr_path)
end

-- Start a program. options: env (a table of changes; false removes), cwd,
-- stdin (text), stdout, stderr (paths), fsize_limit (bytes a file may have;
-- SIGXFSZ is ignored).
function helper.spawn(argv, options)
  options = options or {}
  local folder = helper.tmpdir()
  local self = setmetatable({
    stdout_path = options.stdout or folder .. "/stdout",
    stderr_path = options.stderr or folder .. "/stderr",
  }, process)
  helper.write_file(self.stdout_path, "")
  helper.write_file(self.stderr_path, "")
  self.handle = support.spawn(argv, {
    stdin = options.stdin
      and helper.write_file(folder .. "/stdin", options.stdin),
    stdout = self.stdout_path,
    stderr = self.stderr_path,
    cwd = options.cwd,
    env = environment(argv, options.env),
    fsize_limit = options.fsize_limit,
  })
  return self
end

-- Run a program to its end: exit code, standard output, standard error.
-- argv may be a command line for the shell. options as for spawn, and
-- timeout (seconds, 60).
function helper.run(argv, options)
  if type(argv) == "string" then
    argv = { "/bin/sh", "-c", argv }
  end
  local seconds = options and options.timeout or 60
  local child = helper.spawn(argv, options)
  local code = child:wait(seconds * 1000)
  if not code then
    child:kill "KILL"
    child:wait()
    error(argv[1] .. " still ran after " .. seconds .. " seconds:\n"
      .. child:stderr(), 2)
  end
  return code, child:stdout(), child:stderr()
end

return helper

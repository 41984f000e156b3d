---@meta lunette.types
-- Annotations for the Lua language server. Nothing loads this file; editors
-- read it. In a projection script:
--
--   ---@type lunette.projection
--   local projection = { ... }

-- luacheck: ignore 212 241
-- luacheck: globals lunette

-- ---- inside projection scripts --------------------------------------------

-- JSON null: in event data and in json fields.
---@class lunette.null

-- An event. Lazy and read-only: data is decoded where it is touched, and an
-- event cannot be used after the call it was given to.
---@class lunette.event
---@field id string
---@field stream string
---@field type string
---@field version integer in its stream
---@field tenant string? whose it is, where its event store has tenants
---@field position string as the event store writes it
---@field recorded_at? number microseconds since 1970 UTC; nil where the event
---    store has none, math.huge or -math.huge where it says infinity
---@field data any
---@field metadata any nil if there is none

---@alias lunette.field_type
---| "text"
---| "integer"
---| "number"
---| "boolean"
---| "timestamp" integer microseconds since 1970 UTC inside scripts
---| "json"

-- "id" may be among them, of type text or integer.
---@alias lunette.field { [1]: string, [2]: lunette.field_type }
---@alias lunette.fields table<string, lunette.field_type>|lunette.field[]

-- Where the key is text, an integer is the id of its decimal text.
---@alias lunette.id string|integer
---@alias lunette.ids lunette.id|lunette.id[]|nil

-- The model is nil at first; returning nil deletes it.
---@alias lunette.apply fun(m: table?, e: lunette.event, id: lunette.id): table?

---@class lunette.projection
---@field name string a-z, 0-9 and _, at most 40 characters
---@field version integer raise it when the models have to be built anew
---@field handles? string[] event types it wants; absent: all
---@field fields? lunette.fields a list keeps its order; absent: JSON models
---@field indexes? (string|string[])[]
---@field extract_model_id fun(event: lunette.event): lunette.ids
---@field apply_to_model? lunette.apply nil deletes the model
---@field on? table<string, lunette.apply> by event type, instead
---@field handle_query? fun(store: lunette.store, query: lunette.query): table[]
---@field on_error? "stop"|"skip"|"park"
---@field retries? integer

-- The models of this projection, inside handle_query.
---@class lunette.store
local store = {}

---@param query lunette.query
---@return table[]
function store:query(query) end

---@param id lunette.id
---@return table?
function store:get(id) end

-- ---- queries --------------------------------------------------------------

-- Each also after "not.".
---@alias lunette.operator
---| "eq"
---| "neq"
---| "gt"
---| "gte"
---| "lt"
---| "lte"
---| "like"
---| "ilike"
---| "in"
---| "is"

-- Inside handle_query params holds what was asked: values by name, such as
-- balance = "gte.1000"; a name that came twice has a list of them.
---@class lunette.query
---@field projection? string
---@field params? table<string, string|string[]>
local query = {}

---@param field string
---@param operator lunette.operator
---@param value any a list for "in", lunette.null for "is"
---@return lunette.query
function query:filter(field, operator, value) end

---@param field string
---@param direction? "asc"|"desc"
---@return lunette.query
function query:order_by(field, direction) end

---@param rows integer
---@return lunette.query
function query:limit(rows) end

---@param rows integer
---@return lunette.query
function query:offset(rows) end

---@param ... string
---@return lunette.query
function query:select(...) end

-- Conditions such as { "balance", "lt", 0 }, and groups { all = { ... } }.
---@param conditions table[]
---@return lunette.query
function query:any(conditions) end

---@param conditions table[]
---@return lunette.query
function query:all(conditions) end

-- In the text form of docs/query.md.
---@return string[]
function query:terms() end

-- ---- require "lunette" ----------------------------------------------------

---@alias lunette.code
---| "not_found"
---| "conflict"
---| "owned"
---| "unavailable"
---| "timeout"
---| "io"
---| "invalid"
---| "script"
---| "budget"
---| "config"
---| "no_memory"

---@class lunette.new_event
---@field stream string
---@field type string
---@field tenant? string refused by a store that keeps none: all but memory:
---@field data? any any value with a JSON form, no metatables in it; absent: {}
---@field metadata? any
---@field id? string absent: a UUID; a stored one is not stored again
---@field recorded_at? integer|string microseconds, or RFC 3339 text
---@field expected_version? integer of the stream before; 0: a new stream

---@class lunette.appended
---@field position string
---@field version integer
---@field existed boolean its id was stored before; nothing was written
---@field token string

---A stored event. Data that is not JSON as Lunette takes it (other writers may
---have stored a key twice, say) is its text, and data_error says what is wrong
---with it; so are metadata and metadata_error.
---@class lunette.stored_event
---@field position string
---@field id string
---@field tenant? string where it is of one
---@field stream string
---@field version integer
---@field type string
---@field recorded_at string|lunette.null RFC 3339, "infinity" or "-infinity"
---@field data any
---@field data_error? string
---@field metadata any lunette.null if there is none
---@field metadata_error? string
---@field token string its position, bound to its event store

---A parked or skipped event.
---@class lunette.event_set_aside: lunette.stored_event
---@field number integer
---@field model_id lunette.id|lunette.null null: extract_model_id failed
---@field error string
---@field at string when, RFC 3339

---@alias lunette.state
---| "new"
---| "catching_up"
---| "live"
---| "paused"
---| "failed"
---| "standby" another engine runs it
---| "detached" its script is gone, its models stay
---| "stopped" no engine runs it

---How a projection is doing; lunette.null stands for what is not known.
---@class lunette.status
---@field name string
---@field state lunette.state
---@field version integer
---@field position string
---@field token string|lunette.null
---@field lag_events integer|lunette.null wanted events not yet applied
---@field lag_exact? boolean else lag_events is an estimate
---@field lag_seconds number|lunette.null age of the oldest, where it is known
---@field events_per_second number
---@field owner string|lunette.null the engine that runs it
---@field waiting_for string|lunette.null a lock, a store, a transaction ...
---@field last_error string|lunette.null
---@field parked integer
---@field skipped integer
---@field scripts integer texts of the script that made these models
---@field committed_at string|lunette.null RFC 3339

---@class lunette.checkpoint
---@field projection string
---@field version integer
---@field position string
---@field token string|lunette.null
---@field revision integer rises with every commit
---@field fence integer rises with every owner
---@field paused boolean
---@field event_store string identity of the event store it belongs to
---@field script_hash string
---@field scripts integer texts of the script that made these models
---@field committed_at string RFC 3339
---@field parked integer
---@field skipped integer

---Positions without an event, from and to included; of what is no longer
---listed only their number is known.
---@class lunette.gap
---@field state "open"|"skipped"|"held" waited for, passed over, or events
---@field from string|lunette.null
---@field to string|lunette.null
---@field from_token string|lunette.null
---@field to_token string|lunette.null
---@field numbers integer
---@field at string|lunette.null when it was seen, RFC 3339
---@field reason string

---What a script declares, as lunette.check finds it.
---@class lunette.description
---@field name string
---@field version integer
---@field fields table<string, lunette.field_type>|lunette.null null: JSON
---@field columns string[] in the order of the table, "id" first
---@field id "text"|"integer"
---@field handles string[]|lunette.null null: every type
---@field on_error "stop"|"skip"|"park"
---@field retries integer
---@field handle_query boolean whether there is one
---@field hash string of its text

---@class lunette.events_filter
---@field stream? string
---@field type? string
---@field after? string a token or a position
---@field limit? integer

---@class lunette.progress
---@field projection string
---@field fraction number of the way to the head, from 0 to 1
---@field events_done integer
---@field events_parked integer of those done, as `on_error` has it
---@field events_skipped integer
---@field seconds number that it has run; no more once it has ended

---@class lunette.engine
local engine = {}

---@param events lunette.new_event|lunette.new_event[]
---@return string? position of the last event
---@return lunette.appended|lunette.appended[]|string appended or message
---@return string|lunette.code|nil token that of the position; or the code
function engine:append(events) end

---@param filter? lunette.events_filter
---@return lunette.stored_event[]? events
---@return string? message
---@return lunette.code? code
function engine:events(filter) end

---@param script string|{ source: string, name?: string }
---@return string? name
---@return string? message
---@return lunette.code? code
---@return string? detail
function engine:register(script) end

---@param folder string
---@return true?
---@return string? message
---@return lunette.code? code
---@return string? detail
function engine:register_folder(folder) end

---@param projection? string absent: every registered one
---@return integer|false|nil events read; false: nothing to read
---@return string? message
---@return lunette.code? code
---@return string? detail
function engine:step(projection) end

---@param progress? fun(list: lunette.progress[]): boolean? false ends the run
---@return true?
---@return string? message
---@return lunette.code? code
---@return string? detail
function engine:run_once(progress) end

---@return true?
---@return string? message
---@return lunette.code? code
function engine:start() end

---@return true?
---@return string? message
---@return lunette.code? code
function engine:stop() end

---@return true?
---@return string? message
---@return lunette.code? code
function engine:watch() end

---after: a token, a position, or "strong" (the head of this moment)
---@param what { projection: string, after?: string, timeout?: number }
---@return true?
---@return string? message
---@return lunette.code? code
function engine:wait(what) end

---@param projection string
---@param id string|integer
---@return table? model
---@return string? message
---@return lunette.code? code
function engine:get(projection, id) end

---@param projection string|lunette.query
---@param terms? string[]|lunette.query
---@return table[]? rows
---@return string? message
---@return lunette.code? code
---@return string? detail
function engine:query(projection, terms) end

---@param projection? string absent: a list of all of them
---@return lunette.status|lunette.status[]|nil status
---@return string? message
---@return lunette.code? code
function engine:status(projection) end

---Registered here or in the model store; costs no counting of events.
---@return string[]? names
---@return string? message
---@return lunette.code? code
function engine:projections() end

---@param projection string
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:pause(projection, timeout) end

---@param projection string
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:resume(projection, timeout) end

---What stands in the script's file now; refused where fields, handles or the
---key changed under one version. Returns when the models are cleared.
---@param projection string
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:rebuild(projection, timeout) end

---@param projection string
---@param id? string|integer
---@return lunette.event_set_aside[]? events the oldest first
---@return string? message
---@return lunette.code? code
function engine:parked(projection, id) end

---@param projection string
---@return lunette.event_set_aside[]? events the latest first
---@return string? message
---@return lunette.code? code
function engine:skipped(projection) end

---Positions without an event: those that reading waits for ("open"), and those
---that were passed over ("skipped"); the first and last of the events that can
---be seen but are held back by a transaction ("held"). Only some event stores
---have such.
---@param projection string
---@return lunette.gap[]? gaps
---@return string? message
---@return lunette.code? code
function engine:gaps(projection) end

---@param projection string
---@param id? string|integer absent: all of them
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:retry(projection, id, timeout) end

---@param projection string
---@param id? string|integer absent: all of them
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:discard(projection, id, timeout) end

---@param projection string
---@return lunette.checkpoint? checkpoint
---@return string? message
---@return lunette.code? code
function engine:checkpoint(projection) end

---@param projection string
---@param position string or a token
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:set_checkpoint(projection, position, timeout) end

---@param projection string
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:delete_checkpoint(projection, timeout) end

---@param projection string
---@param timeout? number
---@return true?
---@return string? message
---@return lunette.code? code
function engine:adopt_checkpoint(projection, timeout) end

function engine:close() end

-- The module; scripts have null, array, query and the last three functions as
-- a global of the same name.
---@class lunette
---@field version string
---@field null lunette.null
lunette = {}

---@param settings { events: string, models: string, [string]: string|number }
---@return lunette.engine?
---@return string? message
---@return lunette.code? code
function lunette.open(settings) end

---@param path string
---@return lunette.description? description
---@return string? message
---@return lunette.code? code
---@return string? detail
function lunette.check(path) end

---@param projection? string
---@return lunette.query
function lunette.query(projection) end

---@param list? table
---@return table list an array even when it is empty
function lunette.array(list) end

---@param value any
---@return string json
function lunette.encode(value) end

---@param json string
---@return any value
---@return string? message
---@return lunette.code? code
function lunette.decode(json) end

-- In projection scripts only: a copy made of plain tables.
---@generic T
---@param value T
---@return T
function lunette.table(value) end

-- In projection scripts only: RFC 3339 text to microseconds since 1970 UTC.
---@param text string
---@return integer
function lunette.timestamp(text) end

-- In projection scripts only.
---@param microseconds integer
---@return string
function lunette.format_timestamp(microseconds) end

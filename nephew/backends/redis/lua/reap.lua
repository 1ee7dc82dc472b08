--! uses job, claims, events, moves, workers
-- A worker is dead: what it held goes back to where it waited. What it was running is charged a crash, and is the
-- heir's to end when it has had too many, or may not be begun again.
--
-- ARGV: worker, heir, the heir's claim, why it is dead, '1' if it is known what it was running, else '', '1' if that
-- is to be charged, else '', most events kept, then for each claim that it was running id, claim, since when ('': not
-- known), and how many crashes its task may have ('': it is a suspect only, uncounted).
-- Returns what claim.lua returns, and the ids of those that may begin only once; the same when it is repeated.
-- Reads jobs, once, stops, revoked, narrow, followed; writes workers, incarnations, beats, settled, taken,
-- held:<worker>, held:<heir>, running, marks, attempts:<id>, q:<queue>, queues, bell, bell:<queue>, scheduled,
-- retrying, parked, event, events; tells `wake` and `ended`.

local worker, heir, claim, cause = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local told, charged = ARGV[5] == '1', ARGV[6] == '1'
if not is_known(worker) then
    return inherited(held_by(heir, claim))
end
local evidence = {}
for i = 8, #ARGV, 4 do
    evidence[ARGV[i]] = {claim = ARGV[i + 1], since = ARGV[i + 2], cap = tonumber(ARGV[i + 3])}
end
local label, events = label_of(worker), {}

local function one_more(count)
    return tostring((tonumber(count) or 0) + 1)
end

-- Note a crash; how many there were.
local function charge(id, since)
    local marks = marks_of(id)
    marks.crashes, marks.attempts, marks.kept = one_more(marks.crashes), one_more(marks.attempts), true
    write_marks(id, marks)
    local began = since ~= '' and since or redis.call('HGET', key('running'), id) or 'null'
    local words = {marks.attempts, began, now(), cjson.encode(label), '"crashed"', cjson.encode(cause), 'null'}
    redis.call('RPUSH', key('attempts', id), '[' .. table.concat(words, ',') .. ']')
    return tonumber(marks.crashes)
end

local function suspect(id)
    local marks = marks_of(id)
    marks.alone = true
    write_marks(id, marks)
end

-- Whether a job is to be ended by the heir; what is not waits again.
local function is_doomed(id, by)
    if is_once(id) then
        return true  -- its end tells of it
    end
    local ran = evidence[id]
    local suspected = charged and ran and ran.claim == by
    local guilty = suspected and ran.cap
    if guilty and charge(id, ran.since) >= ran.cap then
        return true
    end
    if suspected or (charged and not told) then
        suspect(id)
    end
    local begun, state = give_back(id)
    if begun or guilty then
        events[#events + 1] = happened(id, state, nil, cause)
    end
    return false
end

local doomed, held = {}, sign_off(worker)
for i = 1, #held, 2 do
    if is_doomed(held[i], held[i + 1]) then
        doomed[#doomed + 1] = held[i]
    end
end
hold(is_known(heir) and heir or NOBODY, claim, doomed)
tell_events(events, ARGV[7], now())
return inherited(held_by(heir, claim))

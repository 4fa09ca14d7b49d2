package postmortem

// Error numbers, which are the same on all ABIs that are recorded.
const (
	ePERM, eNOENT, eSRCH, eINTR, eIO, eNXIO, e2BIG, eNOEXEC, eBADF, eCHILD = 1, 2, 3, 4, 5, 6, 7, 8,
		9, 10
	eAGAIN, eNOMEM, eACCES, eFAULT, eBUSY, eEXIST, eNODEV, eNOTDIR = 11, 12, 13, 14, 16, 17,
		19, 20
	eISDIR, eINVAL, eNFILE, eMFILE, eNOTTY, eTXTBSY, eFBIG, eNOSPC, eSPIPE = 21, 22, 23, 24, 25, 26,
		27, 28, 29
	eROFS, ePIPE, eRANGE, eNOSYS, eNOTEMPTY, eNODATA, eNOPROTOOPT = 30, 32, 34, 38, 39, 61,
		92
	eNOTSOCK                                                             = 88
	eOPNOTSUPP, eAFNOSUPPORT, eADDRINUSE, eADDRNOTAVAIL, eNETUNREACH     = 95, 97, 98, 99, 101
	eCONNABORTED, eCONNRESET, eISCONN, eNOTCONN, eTIMEDOUT, eCONNREFUSED = 103, 104, 106, 107,
		110, 111
	eHOSTUNREACH, eALREADY, eINPROGRESS, eDQUOT = 113, 114, 115, 122
)

// Signals, which are the same on x86 and arm64.
const (
	sigHUP, sigINT, sigQUIT, sigILL, sigTRAP, sigABRT, sigBUS, sigFPE = 1, 2, 3, 4, 5, 6, 7,
		8
	sigKILL, sigUSR1, sigSEGV, sigUSR2, sigPIPE, sigALRM, sigTERM, sigSTKFLT = 9, 10, 11, 12, 13,
		14, 15, 16
	sigCHLD, sigCONT, sigSTOP, sigTSTP, sigTTIN, sigTTOU, sigURG, sigXCPU = 17, 18, 19, 20, 21,
		22, 23, 24
	sigXFSZ, sigVTALRM, sigPROF, sigWINCH, sigIO, sigPWR, sigSYS = 25, 26, 27, 28, 29,
		30, 31
)

// What si_code says of who sent a signal.
const (
	siUser, siQueue, siTimer, siMesgq, siAsyncIO, siSigIO, siTkill, siKernel = 0, -1, -2, -3, -4,
		-5, -6, 0x80
)
